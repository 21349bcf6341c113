"""The pages under docs/ say what there is, all of it, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from api.controllers.http.errors import DIFY_CODES, SEED_CODES
from api.core.model_runtime.provider import PROVIDERS
from api.errors import AppError
from api.services.first_start import curl_line
from api.setting_forms import render_env_example
from api.settings import Settings
from tests.conftest import make_house, make_settings, stop_house

ROOT = Path(__file__).parents[2]
WIRE = sorted((ROOT / "docs/wire").glob("*.md"))
README, CHINESE_README = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), README, CHINESE_README])
SDK_PAGES = sorted((ROOT / "sdks").glob("*/README.md"))
SOURCES = sorted((ROOT / "api").rglob("*.py"))
SCREEN_LINES = 65
PUBLIC_MOUNTS = {"seed": "/api", "dify": "/v1"}
RESTX_OWN = {"root", "specs", "static"}
FRAMEWORK_CODES = {
    ("405", "method_not_allowed"),
    ("408", "request_timeout"),
    ("416", "requested_range_not_satisfiable"),
}
STREAM_CODES = {("500", "worker_lost")}

ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w{}./-]*)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
FILE = re.compile(r"(?<![\w/<.-])((?:api|docs|tests|migrations|requirements)/[\w./-]+\.(?:py|md|toml|lock))")


def text_of(*pages: Path) -> str:
    return "\n".join(page.read_text() for page in pages)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors a page's headings have where pages are shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leaves(cls: type[AppError]) -> Iterator[type[AppError]]:
    """Yield an error class of the program and all below it."""
    yield cls
    for child in cls.__subclasses__():
        if child.__module__.startswith("api."):
            yield from leaves(child)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The program, with every module it is made of imported."""
    app = make_house(make_settings(tmp_path_factory.mktemp("docs")))
    yield app
    stop_house(app)


@pytest.fixture(scope="module")
def routes(program: Flask) -> set[tuple[str, str]]:
    """Every route as the pages name it: public ones without their mount, parameters in braces."""
    found = set()
    for rule in program.url_map.iter_rules():
        blueprint, _, name = rule.endpoint.rpartition(".")
        if name in RESTX_OWN:
            continue
        path = re.sub(r"<(?:[^<>]+:)?([^<>:]+)>", r"{\1}", rule.rule)
        path = path.removeprefix(PUBLIC_MOUNTS.get(blueprint, ""))
        found |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


# -- docs/wire -----------------------------------------------------------------------------------


def test_routes_are_all_described_in_the_wire_pages(routes: set[tuple[str, str]]) -> None:
    described = set(ROUTE.findall(text_of(*WIRE)))
    assert sorted(routes - described) == []


def test_routes_described_in_the_wire_pages_all_exist(routes: set[tuple[str, str]]) -> None:
    described = set(ROUTE.findall(text_of(*WIRE)))
    assert sorted(described - routes) == []


def test_error_codes_are_all_in_the_table_with_their_status(program: Flask) -> None:
    assert program.testing  # imported, so that every leaf is known
    told = set(
        re.findall(r"^\| (\d{3}) \| `([\w-]+)` \|", (ROOT / "docs/wire/errors.md").read_text(), re.MULTILINE)
    )
    known = {(str(leaf.http_status), leaf.code) for leaf in leaves(AppError)}
    assert told == known | FRAMEWORK_CODES | STREAM_CODES


def test_words_of_both_dialects_are_in_their_table() -> None:
    section = (ROOT / "docs/wire/errors.md").read_text().partition("## Two dialects")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)` \| `(\w+)`", section, re.MULTILINE))
    assert told == set(DIFY_CODES.items()) | {(seed, code) for code, seed in SEED_CODES.items()}


# -- links and names -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, *SDK_PAGES], ids=named)
def test_links_of_a_page_lead_to_what_exists(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_named_on_a_page_exist(page: Path) -> None:
    missing = [path for path in FILE.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


def test_pages_named_in_the_code_exist() -> None:
    for path, anchor in re.findall(r"(docs/[\w/.-]+?\.md)(?:#([\w-]+))?", text_of(*SOURCES)):
        assert (ROOT / path).exists(), path
        assert not anchor or anchor in anchors(ROOT / path), f"{path}#{anchor}"


def test_every_package_has_its_place_in_the_map() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    packages = {named(source.parent) for source in SOURCES} - {"api", "api/controllers", "api/core"}
    assert sorted(package for package in packages if f"`{package}/`" not in text) == []


# -- the READMEs ---------------------------------------------------------------------------------


def commands(page: Path) -> list[str]:
    """Return what a page has its readers type, without the comments, which are in its own language."""
    blocks = re.findall(r"^```\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line.partition(" # ")[0].rstrip() for block in blocks for line in block.splitlines()]


def test_readmes_have_the_same_commands_and_lead_to_the_same_pages() -> None:
    leads = [{target for target, _ in LINK.findall(page.read_text())} for page in (README, CHINESE_README)]

    assert commands(README) == commands(CHINESE_README)
    assert leads[0] - {CHINESE_README.name} == leads[1] - {README.name}


def test_readmes_fit_on_a_screen_and_print_what_a_start_prints() -> None:
    assert [
        page.name for page in (README, CHINESE_README) if len(page.read_text().splitlines()) > SCREEN_LINES
    ] == []
    assert commands(README)[:3] == [
        "make run",
        "make test",
        curl_line("http://127.0.0.1:5001", "app-…", "streaming"),
    ]


# -- commands, settings and providers ------------------------------------------------------------


def test_commands_of_the_command_line_are_all_told_to_operators() -> None:
    source = "".join((ROOT / path).read_text() for path in ("api/cli.py", "api/commands.py"))
    made = re.findall(
        r'^@(main|workspace)\.command\((?:"([\w-]+)")?\)$.*?^def (\w+)', source, re.DOTALL | re.MULTILINE
    )
    names = {f"{group} {name or function}".removeprefix("main ") for group, name, function in made}
    told = (ROOT / "docs/operations.md").read_text()

    assert names > {"start", "reset-password", "workspace suspend"}
    assert sorted(name for name in names if not re.search(rf"`{name}[ `]", told)) == []


def test_env_example_is_what_the_settings_make() -> None:
    assert (ROOT / ".env.example").read_text() == render_env_example(Settings.model_fields)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_readme_points_to_the_settings() -> None:
    assert "](.env.example)" in README.read_text()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_named_on_a_page_exist(page: Path) -> None:
    named_there = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`", page.read_text()))
    assert sorted(named_there - {name.upper() for name in Settings.model_fields}) == []


OURS = sorted(name for name, made in PROVIDERS.items() if made.__module__.startswith("api."))
"""The program's own: tests register more."""


@pytest.mark.parametrize("provider", OURS)
def test_provider_is_described_with_its_fields(provider: str) -> None:
    schema = PROVIDERS[provider].schema
    page = (ROOT / "docs/how-to/provider.md").read_text()
    row = next((line for line in page.splitlines() if line.startswith(f"| `{provider}` |")), "")
    fields = [*schema.credential_fields, *schema.model_credential_fields]
    assert row
    assert [field.variable for field in fields if f"`{field.variable}`" not in row] == []
