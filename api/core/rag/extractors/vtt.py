"""WebVTT subtitles: what is said, by whom, without the times."""

import re
from typing import BinaryIO

from api.core.rag import charsets
from api.core.rag.extraction import extractor

TIMING = re.compile(r"^\S+ +--> +\S+.*$", re.MULTILINE)
NOT_SPOKEN = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|\Z)")
VOICE = re.compile(r"<v(?:\.\S*)? +([^>]+)>")
TAG = re.compile(r"</?[^>]*>")


@extractor("vtt")
def extract(file: BinaryIO) -> str:
    """Return the cues, a line each; a speaker stands before what is said."""
    blocks = re.split(r"\n\s*\n", charsets.decode(file.read()).replace("\r\n", "\n").strip())
    spoken = [_to_line(block) for block in blocks if not NOT_SPOKEN.match(block)]
    return "\n".join(line for line in spoken if line)


def _to_line(block: str) -> str:
    """Return a cue in one line: what follows its timing; what stands before is only its name."""
    text = TIMING.split(block, maxsplit=1)[-1]
    return " ".join(TAG.sub("", VOICE.sub(r"\1: ", text)).split())
