"""Cleans extracted text before it is split: always of what no text should hold, by rule of more.

Boundary: pure, linear in the length of the text. Fenced code keeps its spaces
and its stop words.
"""

import re
from collections.abc import Callable, Collection

from api.core.text.markdown import fences
from api.core.text.process_rule import Cleaning
from api.core.text.stopwords import remove_stopwords
from api.core.text.tokens import to_valid

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

# Control characters, and marks that show nothing and keep words from being found:
# soft hyphen, word joiner, byte order mark. Joiners that shape letters stay.
_INVALID = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u2060\ufeff\ufff9-\ufffb\ufffe\uffff]")

_SPACES = " \t\u00a0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_BLANK_LINE = re.compile(rf"^[{_SPACES}]++$", re.MULTILINE)
_WIDE_INDENT = re.compile(rf"^[{_SPACES}]*[^ \t\S\n][{_SPACES}]*", re.MULTILINE)
_INNER_SPACE = re.compile(rf"(?<=[^{_SPACES}\n])(?:[{_SPACES}]{{2,}}+|[^ \t\S\n])")
_BLANK_LINES = re.compile(r"\n{3,}")

_URL_CHARS = r"A-Za-z0-9\-._~:/?#@!$&'*+,;=%\[\]()"
_URL_LAST = r"A-Za-z0-9\-_~/#@$&*+=%"
_URL = rf"(?:(?:https?|ftp)://|\bwww\.)[{_URL_CHARS}]*[{_URL_LAST}]"
_MARKDOWN_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,500})\]\((?:https?|ftp|mailto):[^\s()]*(?:\([^\s()]*\)[^\s()]*)*\)"
)
_ADDRESS = re.compile(
    rf"<?(?:{_URL}|(?:mailto:)?(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]{{1,64}}+@(?:[A-Za-z0-9-]{{1,63}}+\.)+[A-Za-z]{{2,63}})>?",
    re.IGNORECASE,
)


def clean(text: str, kinds: Collection[Cleaning] = ()) -> str:
    """Return ``text`` with line feeds as its only line ends and nothing invalid, and cleaned of ``kinds``."""
    text = _LINE_ENDS.sub("\n", to_valid(text))
    text = _INVALID.sub("", text)
    if Cleaning.URLS_EMAILS in kinds:
        text = _remove_urls_emails(text)
    if Cleaning.STOPWORDS in kinds:
        text = _outside_code(text, remove_stopwords)
    if Cleaning.EXTRA_SPACES in kinds:
        text = _outside_code(text, _remove_extra_spaces)
    return text.strip()


def _remove_urls_emails(text: str) -> str:
    """Remove web and mail addresses; of a Markdown link the words remain."""
    return _ADDRESS.sub("", _MARKDOWN_LINK.sub(r"\1", text))


def _remove_extra_spaces(text: str) -> str:
    """Leave one space between words and one blank line between paragraphs.

    Indents of spaces and tabs stay, for they carry the levels of lists and
    code; those of wider spaces only adorn a paragraph.
    """
    text = _BLANK_LINE.sub("", text)
    text = _WIDE_INDENT.sub("", text)
    text = _INNER_SPACE.sub(" ", text).replace(" \n", "\n")
    return _BLANK_LINES.sub("\n\n", text)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return ``text`` changed everywhere but in fenced code."""
    parts: list[str] = []
    start = 0
    for mark_start, fence_end in fences(text):
        fence_start = text.rfind("\n", start, mark_start) + 1 or start
        parts += [change(text[start:fence_start]), text[fence_start:fence_end]]
        start = fence_end
    return "".join([*parts, change(text[start:])])
