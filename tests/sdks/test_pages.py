"""The pages that teach: their code is run as it stands, against what ``make run`` starts.

A block of ``sh``, ``python`` or ``js`` is run; one without a language is for the reader alone. The blocks
of one language on a page are one session, from top to bottom. A block of ``text`` tells what each of the
blocks right above it prints: these pieces in this order, with ``…`` or a new line where other things may
stand between. Addresses and keys come from the environment, which the pages have readers set.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.factories import PASSWORD
from tests.live.conftest import PATIENT, ROOT, ModelServer
from tests.sdks.conftest import NODE, Demo, run
from tests.servers import sse

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "---- block {} ----"
PAGES = ("quick-start", "api-guide", "migrating")
SAID = "A slipway is a ramp for ships."
DONE = b"data: [DONE]\n\n"
BASH = shutil.which("bash")


@dataclass(frozen=True)
class Language:
    """How to run the code of a language: its program, a file's name, what begins it, what prints a mark."""

    program: str | None
    file: str
    begin: str
    tell: str


LANGUAGES = {
    "sh": Language(BASH, "page.sh", "set -euo pipefail\n", "echo; echo '{}'\n"),
    "python": Language(sys.executable, "page.py", "", "print('\\n{}', flush=True)\n"),
    "js": Language(NODE, "page.mjs", "", "console.log('\\n{}');\n"),
}


@dataclass
class Block:
    """Code of a page, where it stands, and what the page says that it prints."""

    language: str
    code: str
    line: int
    told: list[str] = field(default_factory=list)


def blocks_of(text: str) -> list[Block]:
    """Return the blocks of a page that are run, from top to bottom."""
    blocks: list[Block] = []
    above: list[Block] = []
    end = 0
    for found in FENCE.finditer(text):
        if text[end : found.start()].strip():
            above = []
        end = found.end()
        language, code = found.groups()
        if language == "text":
            for block in above:
                block.told = [piece for piece in re.split(r"[…\n]", code) if piece.strip()]
            above = []
        elif language in LANGUAGES:
            block = Block(language, code, text.count("\n", 0, found.start()) + 1)
            above.append(block)
            blocks.append(block)
    return blocks


def read_page(name: str) -> list[Block]:
    return blocks_of((ROOT / f"docs/{name}.md").read_text(encoding="utf-8"))


SESSIONS = [
    (page, language)
    for page in PAGES
    for language in dict.fromkeys(block.language for block in read_page(page))
]


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    """The reader's own model server."""
    with ModelServer() as server:
        yield server


def environment(demo: Demo, models: ModelServer) -> Mapping[str, str]:
    """Return what the pages have their readers export."""
    return {
        **demo.keys,
        "SLIPWAY": demo.root,
        "DIFY_BASE_URL": demo.url,
        "DIFY_URL": f"{demo.root}/v1",
        "DIFY_DATASET_KEY": demo.keys["DATASET_KEY"],
        "OWNER_PASSWORD": PASSWORD,
        "ENDPOINT": f"{models.url}/v1",
        "MODEL": models.script(sse({"choices": [{"index": 0, "delta": {"content": SAID}}]}), DONE),
    }


def holds(printed: str, pieces: list[str]) -> str | None:
    """Return the first piece that does not come in its turn; None where all do."""
    at = 0
    for piece in pieces:
        found = printed.find(piece, at)
        if found < 0:
            return piece
        at = found + len(piece)
    return None


@PATIENT
@pytest.mark.parametrize(("page", "language"), SESSIONS)
def test_code_of_a_page_does_what_the_page_says(
    page: str, language: str, demo: Demo, models: ModelServer, folder: Path
) -> None:
    how = LANGUAGES[language]
    if how.program is None:
        pytest.skip(f"there is nothing on this machine that runs {language}")
    blocks = [block for block in read_page(page) if block.language == language]
    marks = [MARK.format(number) for number in range(len(blocks))]
    code = [how.tell.format(mark) + block.code for mark, block in zip(marks, blocks, strict=True)]
    (folder / how.file).write_text(how.begin + "".join(code), encoding="utf-8")

    printed = run(how.program, how.file, folder=folder, **environment(demo, models))

    parts = re.split("|".join(map(re.escape, marks)), printed)[1:]
    missing = [
        f"docs/{page}.md:{block.line} does not print {piece!r} but {part!r}"
        for block, part in zip(blocks, parts, strict=True)
        if (piece := holds(part, block.told)) is not None
    ]
    assert missing == []


def test_a_page_that_says_what_its_code_does_not_print_is_found() -> None:
    page = "```sh\none\n```\n\n```js\ntwo\n```\n\n```text\na … b\n```\n\nWords.\n\n```sh\nthree\n```\n"

    told = [(block.language, block.told) for block in blocks_of(page)]

    assert told == [("sh", ["a ", " b"]), ("js", ["a ", " b"]), ("sh", [])]
    assert holds("a, then b", ["a", "b"]) is None
    assert holds("b, then a", ["a", "b"]) == "b"
