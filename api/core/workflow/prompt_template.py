"""The prompt of an LLM node: templates filled, the conversation and images in their places."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from api.core.events import RetrieverResource
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.types import Role
from api.core.ports import JSONObject
from api.core.workflow.context import read_context
from api.core.workflow.jinja import render_jinja
from api.core.workflow.model_call import has_feature
from api.core.workflow.node import Named, NodeContext
from api.core.workflow.prompt import (
    Draft,
    Memory,
    Vision,
    files_in,
    images_of,
    remembered,
    to_drafts,
    with_images,
)
from api.core.workflow.templates import references, render
from api.core.workflow.variables import Selector, VariablePool

PLACEHOLDER = re.compile(r"\{\{#(context|histories)#\}\}")
QUERY_TEMPLATE = "{{#sys.query#}}"
QUERY = ("sys", "query")


class PromptText(BaseModel):
    """A template, in the workflow's own notation or in Jinja2."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant"] = "user"
    text: str = ""
    edition_type: str | None = None
    jinja2_text: str | None = None

    @property
    def is_jinja(self) -> bool:
        """Tell whether it is written in Jinja2."""
        return self.edition_type == "jinja2"

    def references(self) -> tuple[Selector, ...]:
        """Return the variables it names itself; Jinja2 knows others by name."""
        return () if self.is_jinja else references(self.text)


class PromptConfig(BaseModel):
    """What Jinja2 templates may use."""

    model_config = ConfigDict(extra="ignore")

    jinja2_variables: list[Named] | None = None


class ContextConfig(BaseModel):
    """What stands where a template says ``{{#context#}}``."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    variable_selector: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """Everything a node's author says of its prompt."""

    model: ModelChoice
    templates: tuple[PromptText, ...]
    jinja: tuple[Named, ...]
    context: ContextConfig
    memory: Memory | None
    vision: Vision
    is_completion: bool

    def references(self) -> Iterator[Selector]:
        """Return the variables the prompt is made of."""
        for template in self.templates:
            yield from template.references()
        yield from (tuple(item.value_selector) for item in self.jinja if item.value_selector)
        if self.context.enabled and self.context.variable_selector:
            yield tuple(self.context.variable_selector)
        yield from self.vision.references()
        if self.memory is not None and self.memory.query_prompt_template:
            yield from references(self.memory.query_prompt_template)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it is sent, and the passages it gives the model to cite."""

    drafts: list[Draft]
    cited: tuple[RetrieverResource, ...]


def compose(plan: PromptPlan, rules: str, ctx: NodeContext) -> Prompt:
    """Return the prompt, with ``rules`` of the node's own among its instructions; set the node's inputs.

    Empty messages are left out. Raises NodeFailed for a template that fails.
    """
    context, cited = "", tuple[RetrieverResource, ...]()
    if plan.context.enabled and plan.context.variable_selector:
        context, cited = read_context(ctx.variables.get(plan.context.variable_selector))
    ctx.inputs = _inputs(plan, context, ctx.variables)
    if plan.is_completion:
        return Prompt(_completion(plan, context, rules, ctx), cited)
    drafts = _with_rules(_filled(plan, {"context": context, "histories": ""}, ctx), rules)
    drafts, place = _with_question(plan, drafts, ctx.variables)
    drafts = with_images(drafts, plan.vision.files(ctx.variables))
    turns = remembered(plan.memory, plan.model, drafts, plan.vision, ctx)
    return Prompt([*drafts[:place], *to_drafts(turns), *drafts[place:]], cited)


def _inputs(plan: PromptPlan, context: str, variables: VariablePool) -> JSONObject:
    """Return what the prompt is made of, under the names the console shows."""
    named = [selector for template in plan.templates for selector in template.references()]
    if plan.memory is not None:
        named += references(plan.memory.query_prompt_template or "")
    inputs: JSONObject = {f"#{'.'.join(selector)}#": variables.get(selector) for selector in named}
    inputs |= {item.variable: variables.get(item.value_selector) for item in plan.jinja}
    if plan.context.enabled:
        inputs["#context#"] = context
    if files := plan.vision.files(variables):
        inputs["#files#"] = list(files)
    return inputs


def _filled(plan: PromptPlan, special: Mapping[str, str], ctx: NodeContext) -> list[Draft]:
    drafts = (
        Draft(Role(template.role), _fill(plan, template, special, ctx), _images(plan, template, ctx))
        for template in plan.templates
    )
    return [draft for draft in drafts if not draft.is_empty]


def _fill(plan: PromptPlan, template: PromptText, special: Mapping[str, str], ctx: NodeContext) -> str:
    """Return a template as text. What is put in is never read as a template."""
    if template.is_jinja:
        values = {item.variable: ctx.variables.get(item.value_selector) for item in plan.jinja}
        return render_jinja(template.jinja2_text or template.text, values, ctx)
    pieces = PLACEHOLDER.split(template.text)
    pieces[::2] = [render(piece, ctx.variables) for piece in pieces[::2]]
    pieces[1::2] = [special[name] for name in pieces[1::2]]
    return "".join(pieces)


def _images(plan: PromptPlan, template: PromptText, ctx: NodeContext) -> tuple[JSONObject, ...]:
    """Return the images that stand in a user's template, for a model that can see."""
    if template.role != "user":
        return ()
    found = [file for name in template.references() for file in images_of(files_in(ctx.variables.get(name)))]
    return tuple(found) if found and has_feature(plan.model, "vision", ctx) else ()


def _with_rules(drafts: list[Draft], rules: str) -> list[Draft]:
    if not rules or not drafts:
        return drafts
    if drafts[0].role is Role.SYSTEM:
        return [replace(drafts[0], text=f"{drafts[0].text}\n\n{rules}"), *drafts[1:]]
    return [Draft(Role.SYSTEM, rules), *drafts]


def _with_question(plan: PromptPlan, drafts: list[Draft], variables: VariablePool) -> tuple[list[Draft], int]:
    """Return the prompt with the question as its end, and the place before it, where the conversation goes.

    A last message that already asks it is not followed by the same once more.
    """
    memory = plan.memory
    if memory is None or not memory.enabled:
        return drafts, len(drafts)
    asks = bool(drafts) and drafts[-1].role is Role.USER
    own = memory.query_prompt_template
    question = render(own or QUERY_TEMPLATE, variables) if own or variables.has(QUERY) else ""
    is_asked = asks and (
        not question.strip()
        or drafts[-1].text == question
        or (not own and QUERY in plan.templates[-1].references())
    )
    if is_asked:
        return drafts, len(drafts) - 1
    if not question.strip():
        return drafts, len(drafts)
    return [*drafts, Draft(Role.USER, question)], len(drafts)


def _completion(plan: PromptPlan, context: str, rules: str, ctx: NodeContext) -> list[Draft]:
    """Return the one message of a completion prompt; the conversation goes where it says, or before it."""
    files = plan.vision.files(ctx.variables)
    special = {"context": context, "histories": ""}
    drafts = with_images(_with_rules(_filled(plan, special, ctx), rules), files)
    turns = remembered(plan.memory, plan.model, drafts, plan.vision, ctx)
    if plan.memory is None or not turns:
        return drafts
    written = plan.memory.written(turns)
    if "{{#histories#}}" in plan.templates[0].text:
        drafts = _with_rules(_filled(plan, {**special, "histories": written}, ctx), rules)
        return with_images(drafts, files)
    return [*drafts[:-1], replace(drafts[-1], text=f"{written}\n\n{drafts[-1].text}")]
