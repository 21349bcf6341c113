"""The walls of the style guide: 500 lines a file, 60 a function, 5 positional parameters."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "api").rglob("*.py"), *(ROOT / "sdks/python").rglob("*.py")])
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 6  # self or cls included


@cache
def parsed(path: Path) -> ast.Module:
    """Return a file's tree, which several tests look through."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of the program and the SDK with where it stands."""
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_files_stay_under_the_wall() -> None:
    long = [
        str(path.relative_to(ROOT))
        for path in FILES
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE_LINES
    ]

    assert long == []


def test_functions_stay_under_the_wall() -> None:
    long = [
        where
        for where, node in functions()
        if (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_functions_take_few_positional_parameters() -> None:
    greedy = [
        where
        for where, node in functions()
        if len(node.args.args) + len(node.args.posonlyargs) > MAX_POSITIONAL
    ]

    assert greedy == []


def is_public_protocol(node: ast.ClassDef) -> bool:
    """Tell whether others implement a class; a private one only types a foreign library."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return "Protocol" in bases and not node.name.startswith("_")


def test_protocol_methods_state_their_contract() -> None:
    silent = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and is_public_protocol(node):
                silent += [
                    f"{path.relative_to(ROOT)}: {node.name}.{item.name}"
                    for item in node.body
                    if isinstance(item, ast.FunctionDef)
                    and item.name != "__init__"
                    and not item.decorator_list  # a property is data, named for what it is
                    and not ast.get_docstring(item)
                ]

    assert silent == []


def test_locks_name_no_host() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert "://" not in lock.read_text()


def test_parts_of_opentelemetry_are_locked_together() -> None:
    for name in ("otel", "dev"):
        lock = (ROOT / f"requirements/{name}.lock").read_text()
        parts = dict(re.findall(r"^(opentelemetry-[a-z-]+)==(\d+\.\d+)", lock, re.MULTILINE))
        assert {"opentelemetry-api", "opentelemetry-sdk"} < parts.keys(), name
        assert len({parts[each] for each in parts if not each.endswith("conventions")}) == 1, parts
