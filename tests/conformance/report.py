"""What became of every operation, as a page for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.conformance.document import Operation, Reference
from tests.conformance.journey import Answers

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
UNKNOWN_ROUTE = "The requested URL was not found."
NOT_APPLICABLE = {
    "Knowledge Pipeline": "datasets that are made by a pipeline of data source plugins do not exist here"
}
"""Groups of operations that are not meant to be served, and why."""
NOTES = {"GET /workflows/run/{workflow_run_id}": "`inputs` is an object on `/api`, its JSON text on `/v1`"}
"""Where a mount differs on purpose."""
ON_PURPOSE = {("/api", "GET /workflows/run/{workflow_run_id}"): "$.inputs"}
"""The one place in an answer that differs on purpose, by mount and operation."""
HEAD = """# Compatibility with Dify's service API

Every operation of Dify's own OpenAPI description of its service API (of the repository langgenius/dify-docs)
was called on running programs, embedded (SQLite) and scaled out (PostgreSQL and Redis), on both mounts. Where
it passed, status, media type and body are those documented of its success. null counts as right for the few
properties for which Dify gives null and forgets to document it; fields beyond the documented ones are
allowed; documented fields an answer lacks are named.

The page is made by `python -m tests.conformance openapi.json`; where the tests have that document
(`TEST_DIFY_OPENAPI=openapi.json` in the environment), they repeat the calls on both and hold the page
against them.

The packages `dify-client` of PyPI (0.1.10) and of npm (2.3.2) work here unchanged, with all they can do:
tests/clients/test_clients.py.
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one operation on one mount."""

    word: str
    faults: tuple[str, ...] = ()


def judge(reference: Reference, operation: Operation, mount: str, answers: Answers) -> Outcome:
    """Return what became of an operation."""
    answer = answers.get(operation.name)
    if answer is None:
        return Outcome("failed", ("it was not called",))
    if answer.status == 404 and UNKNOWN_ROUTE.encode() in answer.content:
        return Outcome("not applicable" if operation.group in NOT_APPLICABLE else "not served")
    allowed = ON_PURPOSE.get((mount, operation.name))
    faults = [fault for fault in reference.faults(operation, answer) if not allowed or allowed not in fault]
    return Outcome("failed", tuple(faults)) if faults else Outcome("passed")


def render(reference: Reference, journeys: Mapping[str, Answers]) -> str:
    """Return the page; ``journeys`` are the answers by mount."""
    lines = [HEAD.rstrip(), ""]
    operations = sorted(reference.operations.values(), key=lambda operation: operation.group)
    for group, members in groupby(operations, key=lambda operation: operation.group):
        lines += [f"## {group}", "", f"| operation | {' | '.join(f'`{mount}`' for mount in journeys)} | |"]
        lines.append("|---" * (len(journeys) + 2) + "|")
        for operation in members:
            words = [judge(reference, operation, mount, found).word for mount, found in journeys.items()]
            note = NOT_APPLICABLE.get(group) or NOTES.get(operation.name) or ""
            if "passed" in words and (absent := _absent(reference, operation, journeys)):
                note = f"lacks {', '.join(f'`{name}`' for name in absent)}"
            lines.append(f"| `{operation.name}` | {' | '.join(words)} | {note} |")
        lines.append("")
    return "\n".join(lines)


def _absent(reference: Reference, operation: Operation, journeys: Mapping[str, Answers]) -> list[str]:
    found = (reference.absent(operation, answers[operation.name]) for answers in journeys.values())
    return sorted(set().union(*found))
