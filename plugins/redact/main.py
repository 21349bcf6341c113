"""Redact: marks in the place of personal data and secrets, and back.

Only what can be told by its form: numbers count where their check digits are
right, so that order numbers and amounts stay. Names and addresses are not found.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slipway_plugin import Call, ToolFailed, serve

CHECK_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
"""Of the identity numbers of China (GB 11643)."""


@dataclass(frozen=True)
class Kind:
    """One kind of data: what it looks like, and what must hold of it."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_card(text: str) -> bool:
    """Tell whether the last digit is that of Luhn's formula."""
    digits = [int(digit) for digit in reversed(_digits(text))]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and total % 10 == 0 and len(set(digits)) > 1


def _is_iban(text: str) -> bool:
    """Tell whether the number is 1 modulo 97, letters written as numbers (ISO 13616)."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _is_identity(text: str) -> bool:
    if re.fullmatch(r"\d{3}-\d{2}-\d{4}", text):
        return text[:3] not in ("000", "666") and text[0] != "9" and text[4:6] != "00" and text[7:] != "0000"
    total = sum(weight * int(digit) for weight, digit in zip(CHECK_WEIGHTS, text, strict=False))
    return CHECK_DIGITS[total % 11] == text[17].upper()


def _is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


KINDS = (
    Kind(
        "secret",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----"
            r"|\b(?:sk|pk|rk|app|dataset)-[A-Za-z0-9_-]{16,200}|\bgh[opsu]_[A-Za-z0-9]{36,255}\b"
            r"|\bAKIA[0-9A-Z]{16}\b|\bxox[abpr]-[A-Za-z0-9-]{10,200}"
            r"|\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000}",
            re.DOTALL,
        ),
    ),
    Kind("email", re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")),
    Kind("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    Kind("id", re.compile(r"(?<![\w-])(?:\d{17}[\dXx]|\d{3}-\d{2}-\d{4})(?![\w-])"), _is_identity),
    Kind("card", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), _is_card),
    Kind(
        "ip",
        re.compile(
            r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:])"
        ),
        _is_address,
    ),
    Kind(
        "phone",
        re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,5}"
            r"|\(\d{2,4}\)[ .-]?\d{3,4}[ .-]?\d{3,4}|1[3-9]\d{9}|0\d{1,4}[ /-]\d{3,4}[ -]?\d{3,5}"
            r"|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-])"
        ),
        _is_phone,
    ),
)


def redact(call: Call) -> Iterator[object]:
    """Yield the text with marks, and what they stand for."""
    asked = {name.strip().lower() for name in call.arguments.get("kinds", "").split(",") if name.strip()}
    known = {kind.name for kind in KINDS}
    if asked - known:
        raise ToolFailed(f"These kinds are not known: {', '.join(sorted(asked - known))}.")
    text = call.arguments["text"]
    marks: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for kind in KINDS:
        if kind.name in (asked or known):
            text = _marked(text, kind, marks, counts)
    yield text
    yield {"text": text, "marks": {mark: value for value, mark in marks.items()}, "counts": dict(counts)}


def restore(call: Call) -> Iterator[object]:
    """Yield the text with what its marks stand for."""
    marks = {str(mark): str(value) for mark, value in call.arguments["marks"].items()}
    text = re.sub(r"\[[A-Z]+_\d+\]", lambda found: marks.get(found[0], found[0]), call.arguments["text"])
    yield text
    yield {"text": text}


def _marked(text: str, kind: Kind, marks: dict[str, str], counts: Counter[str]) -> str:
    """Return the text with the data of a kind replaced; ``marks`` are known values with theirs."""
    numbers = Counter(mark[1:-1].rpartition("_")[0] for mark in marks.values())

    def replace(found: re.Match[str]) -> str:
        value = found[0]
        if not kind.holds(value):
            return value
        if value not in marks:
            word = kind.name.upper()
            numbers[word] += 1
            while f"[{word}_{numbers[word]}]" in text:  # which somebody wrote
                numbers[word] += 1
            marks[value] = f"[{word}_{numbers[word]}]"
        counts[kind.name] += 1
        return marks[value]

    return kind.pattern.sub(replace, text)


if __name__ == "__main__":
    serve({"redact": redact, "restore": restore})
