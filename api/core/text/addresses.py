"""E-mail addresses: which texts a mail can be sent to."""

import re

MAX_CHARS = 254
_ATOM = r"[^@\s.,:;<>()\[\]\"\\\x00-\x1f\x7f]+"
_ONE = re.compile(rf"(?!.*=\?){_ATOM}(?:\.{_ATOM})*@{_ATOM}(?:\.{_ATOM})*")


def is_address(text: str) -> bool:
    """Tell whether a text is one address that a mail's header takes as it is.

    Nothing is that means several, a group, or a code.
    """
    return len(text) <= MAX_CHARS and _ONE.fullmatch(text) is not None
