"""What has come of an HTTP answer, as llhttp tells it (wire.py reads it).

Boundary: no I/O; bytes go in by ``parser.feed_data``, which calls the methods below.
"""

from httptools import HttpResponseParser

BOTH_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


class Answer:
    """What has come of an answer; the parser calls it. Answers of status 1xx are passed over.

    ``status`` is 0 and ``headers`` are incomplete before the end of its head,
    ``pieces`` are those of its body nobody has taken yet. Where the server does
    not keep the connection, or has sent a surplus, it is of no further use.
    """

    __slots__ = ("headers", "is_surplus", "is_whole", "keeps", "parser", "pieces", "status")

    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        # As servers of any age write; where a length and chunks contradict each other, chunks count.
        self.parser.set_dangerous_leniencies(
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.is_whole = self.is_surplus = self.keeps = False

    def on_message_begin(self) -> None:
        """Note what follows an answer that is whole."""
        self.is_surplus = self.is_whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self.status:  # else of a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        status = self.parser.get_status_code()
        if self.status:
            return
        if status < 200:
            self.headers.clear()
            return
        names = {name.lower() for name, _ in self.headers}
        self.status = status
        self.keeps = self.parser.should_keep_alive() and not names >= BOTH_LENGTHS

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self.is_whole:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the end of an answer."""
        self.is_whole = bool(self.status)

    def end_at_head(self) -> None:
        """Expect no body; what has come of one is surplus."""
        self.is_whole, self.is_surplus = True, self.is_surplus or bool(self.pieces)
        self.pieces.clear()

    def end(self) -> None:
        """Let go of the parser, which holds on to this."""
        if hasattr(self, "parser"):
            del self.parser

    @property
    def frees(self) -> bool:
        """Whether its connection may be used again."""
        return self.is_whole and self.keeps and not self.is_surplus

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing else tells where its body ends."""
        return bool(self.status) and not any(
            name.lower() == b"content-length"
            or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self.headers
        )
