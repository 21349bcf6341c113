"""What a site's robots.txt allows, by RFC 9309.

Python's own parser takes the first rule that matches and knows no wildcards;
the standard takes the longest, and ``*`` and ``$`` have their meaning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

SAFE = "/:@!$&'()*+,;=~-._?[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Robots:
    """The rules for one crawler; without arguments, those of a site that has none.

    ``rules`` are pairs of whether it allows and a pattern of path and query.
    """

    rules: tuple[tuple[bool, str], ...] = ()
    crawl_delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, agent: str) -> "Robots":
        """Return the rules for the product token ``agent``, those for all where none name it."""
        groups: dict[str, list[tuple[str, str]]] = {}
        sitemaps: list[str] = []
        agents: list[str] = []
        is_open = False  # lines that name agents follow each other; a rule ends their row
        for name, value in _lines(text):
            if name == "sitemap":
                sitemaps.append(value)
            elif name == "user-agent":
                agents = [*agents, value.lower()] if is_open else [value.lower()]
                is_open = True
                groups.setdefault(value.lower(), [])
            else:
                is_open = False
                for each in agents:
                    groups[each].append((name, value))
        lines = groups.get(agent.lower(), groups.get("*", []))
        return cls(
            rules=tuple(
                (name == "allow", _normal(value)) for name, value in lines if name != "crawl-delay" and value
            ),
            crawl_delay_s=max(
                (_seconds(value) for name, value in lines if name == "crawl-delay"), default=0.0
            ),
            sitemaps=tuple(sitemaps),
        )

    def allows(self, target: str) -> bool:
        """Tell whether path and query may be fetched: the longest rule decides, of equals the kinder."""
        target = _normal(target)
        matching = [(len(pattern), allows) for allows, pattern in self.rules if _matches(pattern, target)]
        return max(matching, default=(0, True))[1]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of every line that is understood."""
    for line in text.removeprefix("\ufeff").splitlines():
        name, _, value = line.partition("#")[0].partition(":")
        if (name := name.strip().lower()) in ("user-agent", "allow", "disallow", "crawl-delay", "sitemap"):
            yield name, value.strip()


def _normal(target: str) -> str:
    """Return a pattern or target with the same characters encoded alike."""
    return quote(unquote_to_bytes(target), safe=SAFE)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def _matches(pattern: str, target: str) -> bool:
    """Match by search rather than by regular expression, which a hostile pattern could make endless."""
    is_anchored = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    at = len(first)
    last = rest.pop() if is_anchored and rest else None
    for piece in rest:
        at = target.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    if last is not None:
        return len(target) - len(last) >= at and target.endswith(last)
    return not is_anchored or at == len(target)
