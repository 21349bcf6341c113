"""What a parser takes has a place in the value it becomes, in every door."""

import ast
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any

import api.controllers
from api.controllers.http.parsing import Field

PAIR = 2


def doors() -> Iterator[ModuleType]:
    """Yield every module of the doors."""
    for found in pkgutil.walk_packages(api.controllers.__path__, "api.controllers."):
        yield import_module(found.name)


def parsed(module: ModuleType) -> Iterator[tuple[str, Any, Any]]:
    """Yield what a module parses into what, with where it does."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "parse" and len(node.args) == PAIR:
            names = [ast.unparse(argument) for argument in node.args]
            if all(name.split(".")[0] in vars(module) for name in names):
                parser, into = (eval(name, vars(module)) for name in names)  # of our own source
                if not takes_all(into):
                    yield f"{module.__name__}:{node.lineno}", parser, into


def takes_all(into: Any) -> bool:
    """Tell whether a value has a place for whatever it is given."""
    is_dict = isinstance(into, type) and issubclass(into, dict)
    return is_dict or any(item.kind is Parameter.VAR_KEYWORD for item in signature(into).parameters.values())


def test_every_parameter_of_every_parser_has_a_field_to_go_to() -> None:
    found = [case for module in doors() for case in parsed(module)]
    misfits = {}
    for where, parser, into in found:
        given = {argument.dest or argument.name: argument for argument in parser.args}
        always = {name for name, argument in given.items() if is_always_given(argument)}
        taken = signature(into).parameters
        needed = {name for name, parameter in taken.items() if parameter.default is Parameter.empty}
        if wrong := (set(given) - set(taken)) | (needed - always):
            misfits[where] = wrong
    assert len(found) > 150
    assert misfits == {}


def is_always_given(argument: Field) -> bool:
    """Tell whether a parser gives a value of a parameter whatever is sent."""
    return bool(argument.required or argument.store_missing)
