"""Human input: the run waits until a person has answered a form."""

import time
from collections.abc import Iterable
from typing import Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from api.core.events import FormAsked
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.deliveries import Delivery
from api.core.workflow.graph import SOURCE
from api.core.workflow.node import NodeConfig, NodeContext, Types, node
from api.core.workflow.templates import references, render, render_markdown, to_text
from api.core.workflow.variables import Selector, ValueType
from api.core.workflow.work import NodeFailed, NodePaused

UNIT_S = {"hour": 3600, "day": 86_400}
FIELD_TYPES = {"file": ValueType.FILE, "file-list": ValueType.ARRAY_FILE}
MAX_UNITS = 10_000


class Source(BaseModel):
    """A value that is written down, or that of a variable."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["constant", "variable"] = "constant"
    selector: list[str] = Field(default_factory=list)
    value: JsonValue = None

    def read(self, ctx: NodeContext) -> JSONValue:
        """Return the value, null for a variable that does not exist."""
        return self.value if self.type == "constant" else ctx.variables.get(self.selector)


class Input(BaseModel):
    """A field of the form. Options are written down, or come from ``option_source``."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["paragraph", "text-input", "select", "file", "file-list"]
    output_variable_name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,29}$")
    required: bool = True
    options: list[str] = Field(default_factory=list)
    option_source: Source | None = None
    default: Source | None = None

    def asked(self, ctx: NodeContext) -> JSONObject:
        """Return the field as it is shown."""
        drawn: JSONObject = self.model_dump(mode="json", exclude={"option_source", "options"})
        if self.type != "select":
            return drawn
        found = self.option_source.read(ctx) if self.option_source else None
        texts = [to_text(item) for item in found] if isinstance(found, list) else self.options
        return {**drawn, "options": list[JSONValue](texts)}

    def resolved(self, ctx: NodeContext) -> JSONValue:
        """Return what the field begins with, null for nothing."""
        value = self.default.read(ctx) if self.default else None
        return value if value is None or self.type.startswith("file") else to_text(value)


class Action(BaseModel):
    """A button, and the branch it leads to."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=20)
    title: str = Field(default="", max_length=100)
    button_style: Literal["primary", "default", "accent", "ghost"] = "default"


@node("human-input", waits=True)
class HumanInput:
    """Leaves by the id of the action taken, or by ``__timeout``; see ``forms.py`` for what it gives."""

    class Config(NodeConfig):
        """The form. Files of old have only a reason to wait; such a form has one button to go on."""

        form_content: str = ""
        pause_reason: str = ""
        inputs: list[Input] = Field(default_factory=list)
        user_actions: list[Action] = Field(default_factory=list)
        delivery_methods: list[Delivery] = Field(default_factory=list)
        timeout: int = Field(default=36, ge=1, le=MAX_UNITS)
        timeout_unit: Literal["hour", "day"] = "hour"

        @field_validator("user_actions")
        @classmethod
        def _check_ids(cls, actions: list[Action]) -> list[Action]:
            if len({action.id for action in actions}) < len(actions):
                raise ValueError("two actions have the same id")
            return actions

        def references(self) -> Iterable[Selector]:
            """Return what the form shows."""
            yield from references(self.form_content)
            for item in self.inputs:
                for source in (item.default, item.option_source):
                    is_read = source and source.type == "variable" and source.selector
                    yield from [tuple(source.selector)] if source and is_read else ()

        def gives(self) -> Types:
            """Return the fields and how the form was left."""
            return {
                item.output_variable_name: FIELD_TYPES.get(item.type, ValueType.STRING)
                for item in self.inputs
            } | {
                "__action_id": ValueType.STRING,
                "__action_value": ValueType.STRING,
                "__rendered_content": ValueType.STRING,
            }

    def run(self, config: Config, ctx: NodeContext) -> NoReturn:
        """Ask, and wait. Raises NodePaused, NodeFailed where nobody could answer."""
        if ctx.node.parent is not None:
            raise NodeFailed("Nobody can be asked inside an iteration or a loop.", error_type="PlaceError")
        content = render_markdown(config.form_content or config.pause_reason, ctx.variables)
        actions = config.user_actions or [Action(id=SOURCE, title="Continue", button_style="primary")]
        defaults = ctx.variables.masked(
            {item.output_variable_name: item.resolved(ctx) for item in config.inputs}
        )
        assert isinstance(defaults, dict)
        asked = FormAsked(
            node_id=ctx.node.id,
            title=ctx.node.title,
            content=ctx.variables.mask(content),
            fields=tuple(item.asked(ctx) for item in config.inputs),
            actions=tuple(action.model_dump(mode="json") for action in actions),
            defaults=defaults,
            expires_at=int(time.time()) + config.timeout * UNIT_S[config.timeout_unit],
            deliveries=tuple(_filled(item, ctx) for item in config.delivery_methods if item.enabled),
        )
        ctx.inputs = {"form_content": asked.content, "defaults": asked.defaults}
        raise NodePaused(ctx.deps.forms.ask(asked, ctx.facts))


def _filled(delivery: Delivery, ctx: NodeContext) -> JSONObject:
    """Return a delivery with its texts filled in; ``{{#url#}}`` is for who sends it."""
    texts = {
        key: ctx.variables.mask(render(value, ctx.variables))
        for key, value in delivery.config.items()
        if key in ("subject", "body") and isinstance(value, str)
    }
    return {"id": delivery.id, "type": delivery.type, "config": {**delivery.config, **texts}}
