"""Forms that people answer while a run waits: what an answer must be, and what it comes to. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from api.core.events import FormAsked
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import to_markdown
from api.core.workflow.variables import is_file
from api.errors import InvalidRequest

TIMEOUT = "__timeout"
FILLED_IN = re.compile(r"\{\{#\$output\.([A-Za-z_][A-Za-z0-9_]{0,29})#\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEnd:
    """How a form ended: what its node gives, and the branch the run goes on by."""

    outputs: JSONObject
    edge: str
    content: str
    """The form's text with what was filled in."""


def answered(form: FormAsked, action_id: str, values: Mapping[str, JSONValue]) -> FormEnd:
    """Return what an answer comes to; files in ``values`` are those of the run already.

    Values nobody asked for are passed over. Raises InvalidRequest naming the
    field for a value that is missing or of another type, or an unknown action.
    """
    action = next((action for action in form.actions if action.get("id") == action_id), None)
    if action is None:
        raise InvalidRequest(f"The form has no action {action_id!r}.", field="action", fault="invalid_choice")
    given: JSONObject = {}
    for asked in form.fields:
        name = name_of(asked)
        given[name] = _checked(asked, values.get(name, form.defaults.get(name)))
    return _end(form, given, edge=action_id, action_value=action.get("title"))


def timed_out(form: FormAsked) -> FormEnd:
    """Return what a form comes to that nobody answered in time: its fields are null."""
    return _end(form, dict.fromkeys(map(name_of, form.fields)), edge=TIMEOUT, action_value=None)


def name_of(asked: JSONObject) -> str:
    """Return the name of the variable a field's value goes into."""
    return str(asked.get("output_variable_name"))


def _end(form: FormAsked, given: JSONObject, *, edge: str, action_value: JSONValue) -> FormEnd:
    content = FILLED_IN.sub(lambda found: to_markdown(given.get(found.group(1))), form.content)
    outputs: JSONObject = {
        **given,
        "__action_id": edge,
        "__action_value": action_value,
        "__rendered_content": content,
    }
    return FormEnd(outputs=outputs, edge=edge, content=content)


def _checked(asked: JSONObject, value: JSONValue) -> JSONValue:
    """Return a field's value. Raises InvalidRequest."""
    name = name_of(asked)
    if value is None or value == []:
        if asked.get("required", True):
            raise InvalidRequest(f"{name} is required in this form.", field=name, fault="required")
        return value
    match asked.get("type"):
        case "file":
            if not is_file(value):
                raise InvalidRequest(f"{name} must be a file.", field=name, fault="invalid_type")
            return value
        case "file-list":
            if not isinstance(value, list) or not all(is_file(item) for item in value):
                raise InvalidRequest(f"{name} must be a list of files.", field=name, fault="invalid_type")
            return value
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a text.", field=name, fault="invalid_type")
    options = asked.get("options")
    if asked.get("type") == "select" and isinstance(options, list) and value not in options:
        raise InvalidRequest(f"{name} must be one of its options.", field=name, fault="invalid_choice")
    return value.replace("\0", "")
