"""The plugins that come with the program, and the template, run as they are installed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.core.plugins.package import pack, read_package
from api.core.plugins.tools import to_provider
from api.core.tools.calling import ToolOutput
from api.core.tools.tool import ToolFailed
from tests.plugins import OWN, make_runner, to_code
from tests.tools import call

Use = Callable[..., ToolOutput]


@pytest.fixture(scope="module")
def use(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Use]:
    """Call a tool of one of our plugins."""
    runner = make_runner(tmp_path_factory.mktemp("own"))
    packages = {path.name: read_package(pack(path)) for path in OWN.iterdir() if path.is_dir()}

    def used(
        plugin: str, name: str, /, *, credentials: dict[str, str] | None = None, **given: Any
    ) -> ToolOutput:
        package = packages[plugin]
        (declared,) = package.manifest.providers
        provider = to_provider(package.manifest, declared, to_code(package), runner, icon_path="")
        return call(provider.tools[name], given, timeout_s=30.0, credentials=credentials or {})

    yield used
    runner.stop()


SALES = "city;price;code\nOslo;10.5;007\nRome;2;008\nOslo;;009\n"


def test_table_is_queried(use: Use) -> None:
    sql = "SELECT city, sum(price) AS total FROM t GROUP BY city ORDER BY total DESC"
    output = use("tables", "query", csv=SALES, sql=sql)
    assert output.text.splitlines() == [
        "| city | total |",
        "| --- | --- |",
        "| Oslo | 10.5 |",
        "| Rome | 2 |",
    ]
    assert output.json == [
        {
            "columns": ["city", "total"],
            "rows": [{"city": "Oslo", "total": 10.5}, {"city": "Rome", "total": 2}],
            "is_cut": False,
        }
    ]
    codes: Any = use("tables", "query", csv=SALES, sql='SELECT "code" FROM t', max_rows=2).json[0]
    assert (codes["rows"], codes["is_cut"]) == ([{"code": "007"}, {"code": "008"}], True)
    assert use("tables", "query", csv="a,a\n1,2", sql="SELECT * FROM t").text.startswith("| a | a 2 |")


@pytest.mark.parametrize(
    ("csv", "sql", "fault"),
    [
        (SALES, "SELECT profit FROM t", "no such column: profit. The columns are: city, price, code"),
        (SALES, "DELETE FROM t", "not authorized"),
        (SALES, "ATTACH '/tmp/x' AS x", "not authorized"),
        (SALES, "PRAGMA database_list", "not authorized"),
        (SALES, "SELECT 1; SELECT 2", "one statement at a time"),
        (SALES, "", "no SELECT"),
        ("only,names", "SELECT 1", "no rows"),
    ],
)
def test_table_that_cannot_be_queried_says_why(use: Use, csv: str, sql: str, fault: str) -> None:
    with pytest.raises(ToolFailed, match=fault):
        use("tables", "query", csv=csv, sql=sql)


def test_table_is_summarised(use: Use) -> None:
    output = use("tables", "summarise", csv=SALES)
    told: Any = output.json[0]
    city, price, code = told["columns"]
    assert told["rows"] == 3
    assert (city["type"], city["different"], city["frequent"][0]) == (
        "text",
        2,
        {"value": "Oslo", "count": 2},
    )
    assert (price["type"], price["missing"], price["min"], price["max"], price["mean"]) == (
        "number",
        1,
        2,
        10.5,
        6.25,
    )
    assert code["type"] == "text"
    assert "| city | text | 0 | 2 |" in output.text


PERSONAL = (
    "Write to ann@example.org or ann@example.org, call +49 30 901820 or 13912345678; "
    "card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, id 11010519491231002X, "
    "host 10.0.0.7, key sk-abcdefghijklmnopqrstuv. "
    "Order 4111 1111 1111 1112 of 2024-05-01 costs 1200.50; version 1.2.3 at 12:30:00."
)


def test_personal_data_is_redacted_and_put_back(use: Use) -> None:
    output = use("redact", "redact", text=PERSONAL)
    told: Any = output.json[0]
    assert output.text == (
        "Write to [EMAIL_1] or [EMAIL_1], call [PHONE_1] or [PHONE_2]; card [CARD_1], "
        "IBAN [IBAN_1], id [ID_1], host [IP_1], key [SECRET_1]. "
        "Order 4111 1111 1111 1112 of 2024-05-01 costs 1200.50; version 1.2.3 at 12:30:00."
    )
    assert told["marks"]["[EMAIL_1]"] == "ann@example.org"
    assert told["counts"]["email"] == 2
    assert use("redact", "restore", text=output.text, marks=told["marks"]).text == PERSONAL
    assert use("redact", "redact", text="a@b.org [IP_1] 10.0.0.7", kinds="ip").text == "a@b.org [IP_1] [IP_2]"
    with pytest.raises(ToolFailed, match="not known: name"):
        use("redact", "redact", text="x", kinds="email, name")


def test_template_works(use: Use) -> None:
    output = use("template", "greet", name="Ann", credentials={"signature": "Bob"})
    assert (output.text, output.json) == ("Hello, Ann! Bob", [{"name": "Ann"}])
    with pytest.raises(ToolFailed, match="nobody to greet"):
        use("template", "greet", name=" ")
