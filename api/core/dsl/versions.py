"""Versions of app files, and how well we read each."""

import re
from typing import Literal

CURRENT_VERSION = "0.5.0"
FIRST_VERSION = "0.1.0"
VERSION = re.compile(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.\d{1,6})?(?:[-+.].{0,40})?")

Verdict = Literal["completed", "completed-with-warnings", "pending"]


def verdict(version: str) -> Verdict | None:
    """Return what becomes of a file of a version; None where that is no version.

    Pending is what someone should agree to first: the file is newer than we
    know, or of another age altogether.
    """
    found, ours = _numbers(version), _numbers(CURRENT_VERSION)
    if found is None or ours is None:
        return None
    if found == ours:
        return "completed"
    if found > ours or found[0] < ours[0]:
        return "pending"
    return "completed-with-warnings"


def _numbers(version: str) -> tuple[int, int] | None:
    match = VERSION.fullmatch(version.strip())
    return (int(match[1]), int(match[2] or 0)) if match else None
