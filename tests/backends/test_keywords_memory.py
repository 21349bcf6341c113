"""Full text: what is ranked in memory is what the tables hold, as ranking them in the database tells."""

import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from api.backends.database import count_statements
from api.backends.keywords import memory_search, postgres, sqlite
from api.backends.offload import Backend as Offload
from api.core.ports import Offload as OffloadPort
from api.core.rag.chunk import Hit, TextEntry
from api.core.rag.vector_store import KeywordIndex
from api.errors import Unavailable
from api.runtime import Runtime
from tests.offloads import BusyOffload

T = TypeVar("T")

MB = 1024 * 1024
WORDS = ("robot", "robots", "box", "carry", "世界", "和平", "it's")
IDS = ("a", "b", "c", "d", "e", "f")
DOCUMENTS = ("one", "two")


@pytest.fixture
def sessions(runtime: Runtime) -> sessionmaker[Session]:
    return runtime.session_factory


def make_index(
    sessions: sessionmaker[Session], cache_bytes: int = MB, offload: OffloadPort | None = None
) -> KeywordIndex:
    is_sqlite = sessions.kw["bind"].dialect.name == "sqlite"
    kind = sqlite.Backend if is_sqlite else postgres.Backend
    return kind(sessions, offload or Offload(), cache_bytes)


def readings(statements: Sequence[str]) -> list[str]:
    """Return those of the statements that read tokens."""
    marks = ("JOIN keyword_entries ON keyword_entries.number = keyword_tokens_", "tsvector_to_array")
    return [statement for statement in statements if any(mark in statement for mark in marks)]


def make_entry(entry_id: str, text: str, document_id: str = "one") -> TextEntry:
    return TextEntry(id=entry_id, segment_id=entry_id, document_id=document_id, text=text)


def shown(hits: Sequence[Hit]) -> list[tuple[str, str, float]]:
    """Return hits as they compare: floating point adds up in another order on disk."""
    return sorted((hit.collection, hit.id, round(hit.score, 9)) for hit in hits)


texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
written = st.lists(st.tuples(st.sampled_from(IDS), texts, st.sampled_from(DOCUMENTS)), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), written),
    st.tuples(st.just("remove"), st.integers(0, 1), st.sets(st.sampled_from(IDS))),
    st.tuples(st.just("forget"), st.integers(0, 1), st.sampled_from(DOCUMENTS)),
    st.tuples(st.just("drop"), st.integers(0, 1), st.none()),
)


def apply(index: KeywordIndex, kind: str, collection: str, given_: object) -> None:
    match kind, given_:
        case "write", list(rows):
            index.upsert(collection, [make_entry(*row) for row in rows])
        case "remove", set(ids):
            index.delete(collection, ids=ids)
        case "forget", str(document_id):
            index.delete(collection, document_id=document_id)
        case _:
            index.drop(collection)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=st.lists(steps, max_size=8), query=texts)
def test_memory_finds_after_any_history_what_the_tables_hold(
    sessions: sessionmaker[Session], history: list[tuple[str, int, object]], query: str
) -> None:
    collections = [str(uuid.uuid4()) for _ in range(2)]
    kept, on_disk = make_index(sessions), make_index(sessions, cache_bytes=0)

    for kind, place, given_ in history:
        apply(kept, kind, collections[place], given_)
        for documents in (None, {"one"}):
            found = kept.search(collections, query, top_k=20, documents=documents)
            assert shown(found) == shown(on_disk.search(collections, query, top_k=20, documents=documents))


def test_memory_finds_what_another_process_writes_and_removes(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    here, elsewhere = make_index(sessions), make_index(sessions)
    here.upsert(collection, [make_entry("a", "a robot"), make_entry("b", "a box")])
    assert [hit.id for hit in here.search([collection], "robot", top_k=5)] == ["a"]

    elsewhere.delete(collection, ids=["a"])
    assert here.search([collection], "robot", top_k=5) == []

    elsewhere.upsert(collection, [make_entry("c", "another robot")])
    assert [hit.id for hit in here.search([collection], "robot", top_k=5)] == ["c"]


def test_number_of_a_removed_entry_is_not_given_again(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    index = make_index(sessions)
    index.upsert(collection, [make_entry("a", "a box"), make_entry("b", "a robot")])
    assert [hit.id for hit in index.search([collection], "robot", top_k=5)] == ["b"]

    # What memory holds of "b" must not be found as "c".
    index.delete(collection, ids=["b"])
    index.upsert(collection, [make_entry("c", "a box")])

    assert index.search([collection], "robot", top_k=5) == []


def test_search_of_what_is_in_memory_reads_no_tokens(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    index = make_index(sessions)
    index.upsert(collection, [make_entry(str(number), f"robot {number}") for number in range(50)])
    index.search([collection], "robot", top_k=3)

    with count_statements(sessions.kw["bind"]) as statements:
        hits = index.search([collection], "robot 7", top_k=3)

    assert hits[0].id == "7"
    assert readings(statements) == []
    # What state the collection is in.
    assert len([statement for statement in statements if "keyword_" in statement]) == 1


def test_collections_that_do_not_fit_together_are_read_in_turn(sessions: sessionmaker[Session]) -> None:
    names = [str(uuid.uuid4()) for _ in range(3)]
    index = make_index(sessions, cache_bytes=20_000)
    for name in names:
        index.upsert(name, [make_entry(f"{name[:30]} {number}", f"robot w{number}") for number in range(100)])

    for name in [*names, *names]:
        assert len(index.search([name], "robot", top_k=200)) == 100


def test_searches_at_once_read_a_collection_once(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    index = make_index(sessions)
    index.upsert(collection, [make_entry(str(number), f"robot {number}") for number in range(2_000)])
    found: list[int] = []

    def search() -> None:
        found.append(len(index.search([collection], "robot", top_k=10)))

    with count_statements(sessions.kw["bind"]) as statements:
        threads = [threading.Thread(target=search) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert found == [10] * 6
    assert len(readings(statements)) == 1


def test_search_that_gets_no_thread_in_time_is_unavailable(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    make_index(sessions).upsert(collection, [make_entry("a", "a robot")])
    index = make_index(sessions, offload=BusyOffload())

    with pytest.raises(Unavailable):
        index.search([collection], "robot", top_k=1)


def test_ranking_with_all_native_threads_busy_is_unavailable_but_for_a_few(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, offload = str(uuid.uuid4()), Turning()
    index = make_index(sessions, offload=offload)
    index.upsert(collection, [make_entry("a", "a robot")])
    index.search([collection], "robot", top_k=1)
    offload.now = BusyOffload()

    assert len(index.search([collection], "robot", top_k=1)) == 1
    monkeypatch.setattr(memory_search, "FEW_ENTRIES", 0)
    with pytest.raises(Unavailable):
        index.search([collection], "robot", top_k=1)


class Turning:
    """An Offload that becomes another."""

    def __init__(self) -> None:
        self.now: OffloadPort = Offload()

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        return self.now.call(fn, *args, timeout_s=timeout_s)


class Between:
    """An Offload that lets others act once, while the first collection is put together."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._real = Offload()
        self._action: Callable[[], None] | None = action

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        if fn.__name__ == "build" and self._action is not None:
            action, self._action = self._action, None
            action()
        return self._real.call(fn, *args, timeout_s=timeout_s)


def test_what_is_written_while_another_collection_is_read_is_found_as_its_own(
    sessions: sessionmaker[Session],
) -> None:
    first, second, foreign = (f"{number}{uuid.uuid4()}"[:36] for number in range(3))
    other = make_index(sessions)
    other.upsert(first, [make_entry("x", "a box")])
    other.upsert(second, [make_entry("y", "a robot")])
    other.upsert(foreign, [make_entry("secret", "anything")])

    def meanwhile() -> None:
        other.delete(foreign, ids=["secret"])
        other.upsert(second, [make_entry("y", "a robot"), make_entry("z", "a robot")])
        index.search([second], "robot", top_k=5)

    index = make_index(sessions, offload=Between(meanwhile))
    hits = index.search([first, second], "robot", top_k=5)

    assert {(hit.collection, hit.id) for hit in hits} == {(second, "y"), (second, "z")}


def test_search_holds_no_connection_while_a_collection_is_put_together(
    sessions: sessionmaker[Session],
) -> None:
    collection = str(uuid.uuid4())
    make_index(sessions).upsert(collection, [make_entry("a", "a robot")])
    idle = sessions.kw["bind"].pool.checkedout()
    in_use: list[int] = []

    def look() -> None:
        in_use.append(sessions.kw["bind"].pool.checkedout())

    index = make_index(sessions, offload=Between(look))
    assert index.search([collection], "robot", top_k=1)
    assert in_use == [idle]


def test_what_is_committed_late_is_found_beside_what_came_before(sessions: sessionmaker[Session]) -> None:
    """Who writes a collection waits for who is writing it: no number is committed behind a higher one."""
    collection = str(uuid.uuid4())
    index, elsewhere = make_index(sessions), make_index(sessions)
    index.upsert(collection, [make_entry("a", "a robot")])
    second = threading.Thread(target=elsewhere.upsert, args=(collection, [make_entry("c", "a robot")]))
    with sessions.begin() as session:
        index.upsert(collection, [make_entry("b", "a robot")], unit=session)
        second.start()
        second.join(0.2)
        assert second.is_alive(), "a writer overtook another"
        assert [hit.id for hit in elsewhere.search([collection], "robot", top_k=5)] == ["a"]
    second.join(30)

    assert [hit.id for hit in elsewhere.search([collection], "robot", top_k=5)] == ["a", "b", "c"]


def test_collection_that_does_not_fit_is_not_read_for_each_search(sessions: sessionmaker[Session]) -> None:
    collection = str(uuid.uuid4())
    index = make_index(sessions)
    many = [
        make_entry(str(number), " ".join(f"w{number}x{place}" for place in range(20)))
        for number in range(1_000)
    ]
    index.upsert(collection, many)

    with count_statements(sessions.kw["bind"]) as statements:
        for _ in range(3):
            assert [hit.id for hit in index.search([collection], "w1x1", top_k=5)] == ["1"]

    assert len([one for one in readings(statements) if "ORDER BY" in one]) <= 1


def test_equals_come_in_the_order_of_their_ids_however_many_are_asked_for(
    sessions: sessionmaker[Session],
) -> None:
    collection = str(uuid.uuid4())
    index = make_index(sessions)
    ids = [f"{number:03}" for number in range(60)]
    index.upsert(collection, [make_entry(entry_id, "a robot") for entry_id in reversed(ids)])

    for top_k in (0, 1, 5, 60, 100):
        assert [hit.id for hit in index.search([collection], "robot", top_k=top_k)] == ids[:top_k]
