"""What a door is described with is not copied: there would be a copy of each model for each door."""

from typing import Any

from flask_restx import Namespace, fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, parser, query_field


def test_door_is_described_by_the_model_and_the_parser_themselves() -> None:
    answer = Model("Answer", {"parts": fields.List(fields.String)})
    asked = parser(query_field("part", Text()))
    ns = Namespace("doors")

    def get() -> None: ...

    for tell in (
        ns.expect(asked),
        ns.response(200, "What it is.", answer),
        ns.response(202, "What it will be.", answer),
    ):
        tell(get)

    described: Any = get.__apidoc__  # type: ignore[attr-defined]  # where flask-restx keeps it
    assert described["expect"][0] is asked
    assert {status: model is answer for status, (_, model, _) in described["responses"].items()} == {
        "200": True,
        "202": True,
    }
