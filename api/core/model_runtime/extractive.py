"""Answers a prompt by quoting it: the sentences that share most with the question, word for word.

Boundary: pure and deterministic, no model and no weights. Nothing is said about
the subject that does not stand in the prompt; everything else is one of the
fixed phrases below. Text from the prompt is only ever quoted, never obeyed.
Paragraphs of a ``<context>`` are quoted without the breaks of their lines, its
headings not at all.

Where passages are looked for:

* within ``<context> … </context>`` of the system message where it has such a
  block, else in the whole system message but for sentences that instruct the
  model, which are the operator's and not an answer;
* in the ``<document …> … </document>`` blocks of the last user message, after
  which its question stands, and in what surrounds its questions;
* in what tools gave for the question, which is quoted whole where it is short;
* in earlier turns, where a sentence must say more than the question does.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.core.model_runtime.types import Message, Role
from api.core.text import bm25
from api.core.text.sentences import split_sentences
from api.core.text.words import terms

MAX_QUOTES = 3
MAX_ECHO_CHARS = 200
MAX_GIVEN_CHARS = 300
"""What a tool gave is quoted whole up to this length; of more, the sentences that answer."""

# A sentence must hold this share of the question's weight to be an answer, and
# one beside the best must come this near to it.
MIN_COVERAGE = 0.4
MIN_SHARE_OF_BEST = 0.6

_INSTRUCTION = re.compile(
    r"\byou(?:'re| are| must| should| will| have to)\b"
    r"|\byour (?:answers?|goal|instructions?|job|name|replies|reply|responses?|role|task|tone)\b"
    r"|^\W*(?:act|always|answer|be|do not|don't|explain|if (?:the|a) user|imagine|keep|make sure|never"
    r"|only|please|pretend|reply|respond|speak|use|when (?:the|a) user|write)\b"
    r"|^\W*(?:请|不要|不得|务必|始终|只能|必须|禁止|如果用户|当用户|作为|扮演|你是|您是|你要|你需要|你应|你必须)"
    r"|[你您]的(?:任务|职责|角色|名字|目标|回答|回复)",
    re.IGNORECASE,
)
# A line that a paragraph was wrapped at: long, without an end, and with words on the next.
_WRAPPED = re.compile(r"(?<=[^\n]{60})(?<![.!?:;|\s])\n[ ]{0,3}(?=[A-Za-z(\[“\"']|`[^`])")
_TITLE = re.compile(r"#{1,6} ")
_DOCUMENT_TAG = re.compile(r"</?document[^>\n]{0,300}>")
_QUESTION_END = re.compile(r"""[?？]["'”’」』）)\]]*$""")
_SENTENCE_END = re.compile(r"""[.!。！；…]["'”’」』）)\]]*$""")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
_OTHER_WORD = re.compile(
    "[\u3040-\u30ff\uac00-\ud7af]|[^\\W\\d_\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phrases:
    """What is said around quotes, in one language; ``asked`` takes the question."""

    quoted: str
    given: str
    not_found: str
    no_context: str
    asked: str
    connect: str


_ENGLISH = _Phrases(
    quoted="Quoted from the given context:",
    given="The tool gave:",
    not_found="Nothing in the given context answers this.",
    no_context=(
        "I am the built-in local model: I quote from context that I am given and do not generate text, "
        "and this conversation holds no context yet."
    ),
    asked="You asked: “{question}”",
    connect=(
        "For generated answers, save the credentials of a model provider "
        "(POST /console/api/workspaces/current/model-providers/openai/credentials, for example) "
        "and choose one of its models in the app."
    ),
)
_CHINESE = _Phrases(
    quoted="以下内容摘自所给的上下文：",
    given="工具给出：",
    not_found="所给的上下文中没有这个问题的答案。",
    no_context="我是内置的本地模型，只从所给的上下文中摘录原文，不生成内容，而这次对话还没有提供上下文。",
    asked="您的提问是：“{question}”",
    connect=(
        "如需生成式回答，请保存一个模型供应商的凭据"
        "（例如 POST /console/api/workspaces/current/model-providers/openai/credentials），"
        "并在应用中选用该供应商的模型。"
    ),
)
_HEADINGS = (_ENGLISH.quoted, _CHINESE.quoted, _ENGLISH.given, _CHINESE.given)
_OPENINGS = tuple(
    opening for phrases in (_ENGLISH, _CHINESE) for opening in (phrases.not_found, phrases.no_context)
)


def compose_answer(messages: Sequence[Message]) -> str:
    """Return the answer to the last user message of a prompt.

    It is up to three sentences of the prompt, best first, each a Markdown quote
    of its own; or says that the given context does not answer; or, where the
    prompt gives none, what this model is and how to connect another. Written in
    Chinese where the question is.
    """
    asked_at = max((i for i, message in enumerate(messages) if message.role is Role.USER), default=None)
    asked = "" if asked_at is None else messages[asked_at].text
    question, document = _part_question(asked)
    phrases = _CHINESE if _is_chinese(question) else _ENGLISH
    if given := [m.text for m in messages[asked_at or 0 :] if m.role is Role.TOOL]:
        told = [quote for text in given for quote in _quote_given(question, text)]
        return "\n\n".join([phrases.given, *(f"> {quote}" for quote in told)]) if told else phrases.not_found
    context = _read_system(messages) + document
    history = [s for i, message in enumerate(messages) if i != asked_at for s in _read_turn(message)]
    if quotes := _find_quotes(question, context, history):
        return "\n\n".join([phrases.quoted, *(f"> {quote}" for quote in quotes)])
    if context:
        return phrases.not_found
    return _introduce(phrases, question)


def question_of(messages: Sequence[Message]) -> str:
    """Return what a prompt asks for that no tool has been called for yet; empty where one has."""
    if not messages or messages[-1].role is not Role.USER:
        return ""
    return _part_question(messages[-1].text)[0]


def _quote_given(question: str, given: str) -> list[str]:
    if len(given) <= MAX_GIVEN_CHARS:
        return [line for line in given.splitlines() if line.strip()]
    return _find_quotes(question, list(split_sentences(given)), ())


def _part_question(asked: str) -> tuple[str, list[str]]:
    """Split a user's message into its questions and what else it says.

    A message without a question mark is one question as it stands. Documents in
    it are what else it says, whatever they ask.
    """
    start, end = asked.find("<document "), asked.rfind("</document>")
    if 0 <= start < end:
        question, said = _part_question(asked[end + len("</document>") :])
        return question, [*split_sentences(_DOCUMENT_TAG.sub("\n", asked[start:end])), *said]
    sentences = list(split_sentences(asked))
    questions = [sentence for sentence in sentences if _QUESTION_END.search(sentence)]
    if not questions:
        return asked, []
    return " ".join(questions), [s for s in sentences if not _QUESTION_END.search(s)]


def _read_system(messages: Sequence[Message]) -> list[str]:
    text = "\n".join(message.text for message in messages if message.role is Role.SYSTEM)
    start, end = text.find("<context>"), text.rfind("</context>")
    if 0 <= start < end:
        sentences = split_sentences(_WRAPPED.sub(" ", text[start + len("<context>") : end]))
        return [sentence for sentence in sentences if not _TITLE.match(sentence)]
    return [sentence for sentence in split_sentences(text) if not _INSTRUCTION.search(sentence)]


def _read_turn(message: Message) -> Iterator[str]:
    """Yield what a turn of the conversation states; of our own answers, only what they quote."""
    if message.role is Role.SYSTEM or message.text.startswith(_OPENINGS):
        return
    for sentence in split_sentences(message.text):
        statement = sentence.removeprefix("> ")
        if statement not in _HEADINGS and not _QUESTION_END.search(statement):
            yield statement


def _find_quotes(question: str, context: Sequence[str], history: Sequence[str]) -> list[str]:
    words = set(terms(question))
    told = [s for s in context if _SENTENCE_END.search(s) or _says_more(s, words)]
    told += [s for s in history if _says_more(s, words)]
    candidates = list(dict.fromkeys(told))
    matches = [match for match in bm25.rank(question, candidates) if match.coverage >= MIN_COVERAGE]
    return [
        candidates[match.index]
        for match in matches[:MAX_QUOTES]
        if match.score >= MIN_SHARE_OF_BEST * matches[0].score
    ]


def _says_more(sentence: str, words: set[str]) -> bool:
    """Tell whether a sentence holds a word of its own; a heading or a repeated question does not."""
    return any(term not in words for term in terms(sentence))


def _introduce(phrases: _Phrases, question: str) -> str:
    line = " ".join(question.split())
    echo = line if len(line) <= MAX_ECHO_CHARS else line[: MAX_ECHO_CHARS - 1] + "…"
    asked = [phrases.asked.format(question=echo)] if echo else []
    return "\n\n".join([phrases.no_context, *asked, phrases.connect])


def _is_chinese(text: str) -> bool:
    return len(_HAN.findall(text)) > len(_OTHER_WORD.findall(text))
