"""What nodes put into a prompt besides their own words: the conversation, and images.

A prompt is made as drafts, whose files are values; they become messages, with
the images' bytes, when the model is called.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.history import answer_tokens, fit, room_for_history
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.types import ImagePart, Message, Part, PastTurn, Role, TextPart
from api.core.ports import JSONObject, JSONValue
from api.core.text.tokens import count_tokens
from api.core.workflow.node import Demand, NodeContext
from api.core.workflow.variables import ANY_FILE, SYSTEM, VariablePool, is_file
from api.core.workflow.work import NodeFailed

IMAGE = "image"
IMAGE_TYPES: Mapping[str, re.Pattern[bytes]] = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}


class VisionConfigs(BaseModel):
    """Which files are shown, and how closely."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str] | None = None
    detail: Literal["high", "low"] = "high"


class Vision(BaseModel):
    """Whether the model is shown images; those of the question where no others are named."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    configs: VisionConfigs | None = None

    @property
    def selector(self) -> tuple[str, ...]:
        """Where the files are."""
        named = self.configs.variable_selector if self.configs else None
        return tuple(named or (SYSTEM, "files"))

    @property
    def detail(self) -> Literal["high", "low"]:
        """How closely images are looked at."""
        return self.configs.detail if self.configs else "high"

    def references(self) -> Iterable[tuple[str, ...]]:
        """Return where the files are, where the author says so."""
        is_named = self.enabled and self.configs is not None and self.configs.variable_selector
        return (self.selector,) if is_named else ()

    def demands(self) -> Iterable[Demand]:
        """Return the same, which must be files."""
        return (Demand(selector, ANY_FILE) for selector in self.references())

    def files(self, variables: VariablePool) -> tuple[JSONObject, ...]:
        """Return the files to show, whatever their type; none where it is off."""
        return files_in(variables.get(self.selector)) if self.enabled else ()


class Window(BaseModel):
    """How many turns are remembered at most, where it is on."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    size: int | None = Field(default=None, ge=0)


class RolePrefix(BaseModel):
    """How speakers are named where a conversation is written as one text."""

    model_config = ConfigDict(extra="ignore")

    user: str = ""
    assistant: str = ""


class Memory(BaseModel):
    """How much of the conversation a model is told, and how its question is put after that."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = True
    window: Window = Field(default_factory=Window)
    query_prompt_template: str | None = None
    role_prefix: RolePrefix = Field(default_factory=RolePrefix)

    def written(self, turns: Iterable[PastTurn]) -> str:
        """Return a conversation as one text."""
        user, assistant = self.role_prefix.user or "Human", self.role_prefix.assistant or "Assistant"
        return "\n".join(f"{user}: {turn.query}\n{assistant}: {turn.answer}" for turn in turns)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be; its images are files yet."""

    role: Role
    text: str
    images: tuple[JSONObject, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing in it."""
        return not self.text.strip() and not self.images

    def shown(self) -> JSONObject:
        """Return the message for whoever looks at the run."""
        return {"role": self.role.value, "text": self.text, "files": list(self.images)}


def files_in(value: JSONValue) -> tuple[JSONObject, ...]:
    """Return the file that a value is, or the files of a list."""
    several = value if isinstance(value, list) else [value]
    return tuple(item for item in several if isinstance(item, dict) and is_file(item))


def images_of(files: Iterable[JSONObject]) -> tuple[JSONObject, ...]:
    """Return the files that are images."""
    return tuple(file for file in files if file.get("type") == IMAGE)


def with_images(drafts: Sequence[Draft], files: tuple[JSONObject, ...]) -> list[Draft]:
    """Return the drafts with the images among the files in the user's last message, or in one after all."""
    images = images_of(files)
    if not images:
        return list(drafts)
    if drafts and drafts[-1].role is Role.USER:
        return [*drafts[:-1], replace(drafts[-1], images=(*images, *drafts[-1].images))]
    return [*drafts, Draft(Role.USER, "", images)]


def to_messages(drafts: Iterable[Draft], vision: Vision, ctx: NodeContext) -> tuple[Message, ...]:
    """Return the messages, images before the text. Raises NodeFailed for an image that cannot be shown."""
    return tuple(_to_message(draft, vision, ctx) for draft in drafts)


def to_drafts(turns: Iterable[PastTurn]) -> list[Draft]:
    """Return a conversation as messages."""
    return [
        draft
        for turn in turns
        for draft in (Draft(Role.USER, turn.query), Draft(Role.ASSISTANT, turn.answer))
    ]


def remembered(
    memory: Memory | None, choice: ModelChoice, beside: Sequence[Draft], vision: Vision, ctx: NodeContext
) -> tuple[PastTurn, ...]:
    """Return the latest turns that the memory allows and that fit into the model beside a prompt."""
    if memory is None or not memory.enabled or not ctx.deps.history:
        return ()
    turns = tuple(ctx.deps.history)
    if memory.window.enabled and memory.window.size is not None:
        turns = turns[max(0, len(turns) - memory.window.size) :]
    model = ctx.deps.models.schema(ctx.facts.tenant_id, choice.ref)
    room = room_for_history(
        model.context_tokens,
        answer_tokens(choice.completion_params, model),
        count_messages([_sketch(draft, vision) for draft in beside], model.model),
    )
    return fit(turns, room, lambda text: count_tokens(text, model.model))


def _sketch(draft: Draft, vision: Vision) -> Message:
    """Return a message that counts as the real one does, without reading the images."""
    images = [ImagePart(mime_type=IMAGE, detail=vision.detail) for _ in draft.images]
    return Message(role=draft.role, parts=(*images, TextPart(draft.text)))


def _to_message(draft: Draft, vision: Vision, ctx: NodeContext) -> Message:
    images = [_image(file, vision, ctx) for file in draft.images]
    parts: tuple[Part, ...] = (*images, *((TextPart(draft.text),) if draft.text else ()))
    return Message(role=draft.role, parts=parts)


def _image(file: JSONObject, vision: Vision, ctx: NodeContext) -> ImagePart:
    """Return an image by what its bytes are: names and addresses may be wrong."""
    data = ctx.deps.files.read(file, ctx.cancel)
    for mime_type, head in IMAGE_TYPES.items():
        if head.match(data):
            return ImagePart(mime_type=mime_type, data=data, detail=vision.detail)
    raise NodeFailed(f"{file.get('filename')!r} is not an image that models can see.", error_type="FileError")
