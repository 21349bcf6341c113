"""Leaves out the words that only hold a sentence together, in English and Chinese.

Boundary: pure. Words that turn a sentence round (not, no, 不, 没有) stay, and so
do names in capitals (US, IT, plan A). Chinese words are told apart by a
dictionary, so that 的 goes and 目的 stays.
"""

import re
from collections.abc import Callable

_ENGLISH_LIST = """
    a about above after again all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he
    her here hers herself him himself his how i i'd i'll i'm i've if in into is it it's its itself just
    me more most my myself of off on once only or other our ours ourselves out over own same she she's
    should so some such than that that's the their theirs them themselves then there these they they're
    this those through to too under until up very was we we're were what when where which while who whom
    why will with would you you're your yours yourself yourselves
"""
_CHINESE_LIST = """
    的 了 是 在 和 与 及 或 而 且 但 就 都 也 还 又 把 被 让 给 对 从 向 到 于 以 由 为 因 所 其 之 此 这 那
    着 过 地 得 吗 呢 吧 啊 呀 嘛 哦 我 你 您 他 她 它 我们 你们 他们 她们 它们 自己 这个 那个 这些 那些 这里
    那里 因为 所以 如果 虽然 但是 而且 并且 以及 或者 还是 一个 一些 一种
"""
_ENGLISH = frozenset(_ENGLISH_LIST.split())
_CHINESE = frozenset(_CHINESE_LIST.split())
_ENGLISH_WORD = re.compile(
    r"(?<![\w.'’@/-])([A-Za-z](?:[a-z]*+['’][a-z]++|[a-z]*+))(?![\w'’@/-]|\.\w)([ \t]?)"
)
_CHINESE_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")


def remove_stopwords(text: str) -> str:
    """Return ``text`` without its stop words, each with one space after it; all else stays as it is."""
    text = _ENGLISH_WORD.sub(_without_stopword, text)
    if not _CHINESE_RUN.search(text):
        return text
    import rjieba  # a dictionary of several MB, for a rule few documents use

    cut: Callable[[str], list[str]] = rjieba.cut
    return _CHINESE_RUN.sub(lambda run: "".join(word for word in cut(run[0]) if word not in _CHINESE), text)


def _without_stopword(word: re.Match[str]) -> str:
    is_name = word[1] == "A"
    return "" if not is_name and word[1].lower().replace("’", "'") in _ENGLISH else word[0]
