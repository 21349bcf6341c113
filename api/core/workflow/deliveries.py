"""Ways a form gets to who is to answer it, as they are drawn in its node."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from api.core.text.addresses import is_address

EMAIL = "email"
MAX_RECIPIENTS = 100


class Member(BaseModel):
    """A member of the workspace, by their account."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["member"]
    user_id: str


class External(BaseModel):
    """Somebody who need not be a member, by their address."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["external"]
    email: str

    @field_validator("email")
    @classmethod
    def _check_email(cls, email: str) -> str:
        if not is_address(email.strip()):
            raise ValueError(f"{email!r} is not an e-mail address")
        return email.strip().lower()


class Recipients(BaseModel):
    """Who gets a mail: all members, or those named, and others by address."""

    model_config = ConfigDict(extra="ignore")

    whole_workspace: bool = False
    items: list[Annotated[Member | External, Field(discriminator="type")]] = Field(
        default_factory=list, max_length=MAX_RECIPIENTS
    )


class EmailConfig(BaseModel):
    """A mail: ``{{#url#}}`` in its body is the link. With ``debug_mode`` a test mails its tester alone."""

    model_config = ConfigDict(extra="ignore")

    recipients: Recipients = Field(default_factory=Recipients)
    subject: str = ""
    body: str = ""
    debug_mode: bool = False


class Delivery(BaseModel):
    """One way. That of a mail is checked once it is switched on."""

    model_config = ConfigDict(extra="ignore")

    id: str = ""
    type: str
    enabled: bool = True
    config: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_email(self) -> "Delivery":
        if self.type == EMAIL and self.enabled:
            EmailConfig.model_validate(self.config)
        return self
