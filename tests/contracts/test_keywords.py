"""What every KeywordIndex promises, on SQLite and on PostgreSQL."""

import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.core.rag.chunk import Hit, TextEntry
from api.core.rag.keyword_search import MAX_CANDIDATES
from api.core.rag.vector_store import KeywordIndex
from api.errors import Unavailable
from api.runtime import Runtime
from tests.waiting import is_waited_for, wait_until


@pytest.fixture
def index(runtime: Runtime) -> KeywordIndex:
    return runtime.keywords


@pytest.fixture
def collection() -> str:
    return new_id()


def new_id() -> str:
    return str(uuid.uuid4())


def make_entry(text: str, *, entry_id: str | None = None, document_id: str = "document") -> TextEntry:
    made_id = entry_id or new_id()
    return TextEntry(id=made_id, segment_id=f"of {made_id}"[:36], document_id=document_id, text=text)


def make_entries(*texts: str) -> list[TextEntry]:
    return [make_entry(text) for text in texts]


def find(index: KeywordIndex, collection: str, query: str, top_k: int = 10) -> list[str]:
    return ids_of(index.search([collection], query, top_k=top_k))


def ids_of(hits: Iterable[Hit]) -> list[str]:
    return [hit.id for hit in hits]


# -- what is found -------------------------------------------------------------------------------


def test_keywords_hit_tells_where_its_entry_belongs(index: KeywordIndex, collection: str) -> None:
    entry = make_entry("Refunds take five days.")
    index.upsert(collection, [entry, make_entry("Robots carry boxes.")])

    [hit] = index.search([collection], "refund", top_k=5)

    assert (hit.collection, hit.id, hit.segment_id, hit.document_id) == (
        collection,
        entry.id,
        entry.segment_id,
        entry.document_id,
    )
    assert 0 < hit.score < 1


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Where did they run?", "A runner was running in the park."),
        ("studying cached prices", "Studies of a price cache."),
        ("INV-2024-0031", "Invoice inv-2024-0031 was paid."),
        ("jo.doe@example.com", "Write to Jo.Doe@Example.com."),
        ("2024", "Revenue of 2024 rose."),
        ("ＡＢＣ", "abc"),
        ("US", "Laws of the US apply."),
        ("保修期是多久？", "产品的保修期为两年。"),
        ("保固期是多久？", "產品的保固期為兩年。"),
        ("和平", "世界和平会议在日内瓦举行。"),
        ("海", "大海很深。"),
        ("東京タワー", "昨日東京タワーに登った。"),
        ("서울 날씨", "오늘 서울 날씨는 맑다."),
    ],
)
def test_keywords_query_finds_the_text_that_has_its_words(
    index: KeywordIndex, collection: str, query: str, text: str
) -> None:
    others = ["Parcels are sent on Mondays.", "客服时间为工作日九点。", "客服時間為上午九點。", "雨が降る。"]
    entry = make_entry(text)
    index.upsert(collection, [*make_entries(*others), entry])

    assert find(index, collection, query)[:1] == [entry.id]


def test_keywords_best_come_first_and_no_more_than_asked_for(index: KeywordIndex, collection: str) -> None:
    often, once, beside, other = make_entries(
        "Refund policy: a refund is a refund.",
        "A refund and a parcel.",
        "Our policy on many other things that take a long sentence to tell.",
        "Rain fell.",
    )
    index.upsert(collection, [other, beside, once, often])

    assert find(index, collection, "refund policy") == [often.id, once.id, beside.id]
    assert find(index, collection, "refund policy", top_k=1) == [often.id]


def test_keywords_rare_word_weighs_more_than_a_common_one(index: KeywordIndex, collection: str) -> None:
    rare = make_entry("The gearbox is new.")
    index.upsert(collection, [*make_entries(*["The robot is new."] * 20), rare])

    assert find(index, collection, "robot gearbox")[0] == rare.id


def test_keywords_score_is_the_share_of_the_query_that_is_found(index: KeywordIndex, collection: str) -> None:
    index.upsert(collection, make_entries("alpha", "beta", "alpha beta", "gamma", "alpha " * 50))

    scores = [hit.score for hit in index.search([collection], "alpha beta", top_k=10)]
    [alone] = index.search([collection], "gamma", top_k=10)

    assert all(0 < score < 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert index.search([collection], "gamma gamma nowhere", top_k=10) == [alone], (
        "unknown words tell nothing"
    )


def test_keywords_common_words_are_found_among_many_entries(index: KeywordIndex, collection: str) -> None:
    """Words too common to look at all their entries, of which the best are wanted nevertheless."""
    count = MAX_CANDIDATES * 30
    texts = [f"A robot with part {number}." for number in range(count)]
    best, frequent = make_entries("Robot part with part.", "Robot, robot, robot, robot and robot.")
    index.upsert(collection, [*make_entries(*texts), best, frequent])

    assert find(index, collection, "robot part", top_k=1) == [best.id]
    assert find(index, collection, "robot", top_k=1) == [frequent.id]
    assert len(find(index, collection, "robot", top_k=100)) == 100


# -- whatever is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["", " ", "?!", '"', "the of and", "是的吗", "\0", "😀", "-- ;", "* ^ : ( )"]
)
def test_keywords_query_without_words_finds_nothing(index: KeywordIndex, collection: str, query: str) -> None:
    index.upsert(collection, make_entries("the of and", "是的", "A robot."))

    assert find(index, collection, query) == []


@pytest.mark.parametrize(
    "query",
    [
        '"robot',
        "robot AND",
        "NOT robot",
        "NEAR(robot, 2)",
        "tokens:robot",
        "robot*",
        "^robot",
        "robot'; DROP TABLE keyword_entries; --",
        "robot & | ! <-> \\ '",
        "o'robot robot's d'accord",
        "robot\0\ud800😀",
        ":robot :name %(robot)s %s",
        "robot " + "x" * 10_000,
        "robot " + " ".join(f"word{number}" for number in range(1_500)),
    ],
)
def test_keywords_no_query_is_a_syntax_error(index: KeywordIndex, collection: str, query: str) -> None:
    entry = make_entry("A robot.")
    index.upsert(collection, [entry])

    assert find(index, collection, query) == [entry.id]


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.text(st.characters(), max_size=40))
def test_keywords_any_text_is_stored_and_finds_itself_if_it_has_words(index: KeywordIndex, text: str) -> None:
    collection = new_id()
    entry = make_entry(f"robot {text}")
    index.upsert(collection, [entry])

    found = [find(index, collection, query) for query in ("robot", f"{text} robot")]
    index.drop(collection)

    assert found == [[entry.id], [entry.id]]


def test_keywords_word_with_an_apostrophe_is_found(index: KeywordIndex, collection: str) -> None:
    entry = make_entry("Rock’n’roll at O'Reilly.")
    index.upsert(collection, [entry, make_entry("Jazz.")])

    assert find(index, collection, "rock'n'roll") == find(index, collection, "o’reilly") == [entry.id]


# -- where is looked -----------------------------------------------------------------------------


def test_keywords_other_collections_are_not_looked_at(index: KeywordIndex, collection: str) -> None:
    other = new_id()
    mine, theirs = make_entries("A robot of mine.", "A robot of theirs.")
    index.upsert(collection, [mine])
    alone = index.search([collection], "robot", top_k=10)

    index.upsert(other, [theirs, *make_entries(*["robot"] * 50)])

    assert index.search([collection], "robot", top_k=10) == alone
    assert find(index, new_id(), "robot") == []
    assert index.search([], "robot", top_k=10) == []


def test_keywords_same_id_in_two_collections_is_two_entries(index: KeywordIndex, collection: str) -> None:
    other, entry = new_id(), make_entry("A robot.")
    for each in (collection, other):
        index.upsert(each, [entry])

    index.delete(other, ids=[entry.id])

    assert find(index, collection, "robot") == [entry.id]
    assert find(index, other, "robot") == []


def test_keywords_several_collections_are_ranked_as_one(index: KeywordIndex, collection: str) -> None:
    other = new_id()
    good, fair, poor = make_entries("Refund, refund.", "A refund by post.", "A refund " + "and a parcel " * 9)
    index.upsert(collection, [poor, good])
    index.upsert(other, [fair])

    hits = index.search([collection, other, new_id(), collection], "refund", top_k=10)

    assert [(hit.collection, hit.id) for hit in hits] == [
        (collection, good.id),
        (other, fair.id),
        (collection, poor.id),
    ]


def test_keywords_word_that_nothing_has_finds_nothing_in_given_documents(
    index: KeywordIndex, collection: str
) -> None:
    index.upsert(collection, [make_entry("A robot.", document_id="asked for")])

    assert index.search([collection], "unheard", top_k=5, documents=["asked for"]) == []


@pytest.mark.parametrize("count", [3, MAX_CANDIDATES * 2])
def test_keywords_only_given_documents_are_looked_at(
    index: KeywordIndex, collection: str, count: int
) -> None:
    documents = [new_id() for _ in range(count)]
    index.upsert(collection, [make_entry("A robot.", document_id=document) for document in documents])
    index.upsert(collection, [make_entry("A robot, a robot!", document_id="best but not asked for")])
    absent = [new_id() for _ in range(1_000)]

    hits = index.search([collection], "robot", top_k=count, documents=[*absent, *documents[1:]])

    assert {hit.document_id for hit in hits} <= set(documents[1:])
    assert min(count - 1, MAX_CANDIDATES) <= len(hits) < count
    assert index.search([collection], "robot", top_k=5, documents=[]) == []
    assert index.search([collection], "robot", top_k=5, documents=absent) == []


# -- changes -------------------------------------------------------------------------------------


def test_keywords_entry_stored_again_is_found_by_its_new_text_alone(
    index: KeywordIndex, collection: str
) -> None:
    entry_id = new_id()
    index.upsert(collection, [make_entry("A robot.", entry_id=entry_id), *make_entries("A lamp.")])
    index.upsert(collection, [make_entry("x", entry_id=entry_id), make_entry("A chair.", entry_id=entry_id)])

    assert find(index, collection, "robot") == []
    assert find(index, collection, "chair") == [entry_id]
    assert len(list(index.ids(collection))) == 2


def test_keywords_scores_after_changes_are_those_of_a_fresh_index(
    index: KeywordIndex, collection: str
) -> None:
    kept, fresh = make_entries("A robot and a lamp.", "A robot."), new_id()
    gone = make_entry("A robot of long ago, in many words more.", document_id="gone")
    index.upsert(collection, [gone, *kept])
    index.upsert(collection, kept)
    index.delete(collection, document_id="gone")
    index.upsert(fresh, kept)

    def scores(of: str) -> list[tuple[str, float]]:
        return [(hit.id, hit.score) for hit in index.search([of], "robot lamp", top_k=5)]

    assert scores(collection) == scores(fresh)


def test_keywords_deleted_entries_are_not_found(index: KeywordIndex, collection: str) -> None:
    first, second, third = (make_entry("A robot.", document_id=f"document {name}") for name in "abc")
    index.upsert(collection, [first, second, third])

    for _ in range(2):
        index.delete(collection, ids=[first.id, new_id()])
    assert set(find(index, collection, "robot")) == {second.id, third.id}
    for _ in range(2):
        index.delete(collection, document_id="document b")
    assert find(index, collection, "robot") == [third.id]
    index.delete(collection, ids=[])
    index.delete(new_id(), ids=[third.id])
    assert list(index.ids(collection)) == [third.id]


def test_keywords_dropped_collection_is_gone_and_can_be_made_again(
    index: KeywordIndex, collection: str
) -> None:
    index.upsert(collection, make_entries("A robot."))
    assert collection in list(index.collections())

    for _ in range(2):
        index.drop(collection)
    assert collection not in list(index.collections())
    assert find(index, collection, "robot") == list(index.ids(collection)) == []

    [entry] = make_entries("A robot.")
    index.upsert(collection, [entry])
    assert find(index, collection, "robot") == [entry.id]


def test_keywords_ids_are_those_of_every_entry(index: KeywordIndex, collection: str) -> None:
    entries = make_entries(*["the"] * 2_100)
    index.upsert(collection, entries)
    index.upsert(new_id(), make_entries("other"))

    assert sorted(index.ids(collection)) == sorted(entry.id for entry in entries)


def test_keywords_known_tells_which_ids_have_an_entry(index: KeywordIndex, collection: str) -> None:
    entries = make_entries(*["the"] * 1_200)
    index.upsert(collection, entries)
    other = make_entry("other")
    index.upsert(new_id(), [other])
    ids = [entry.id for entry in entries]
    index.delete(collection, ids=ids[:3])

    assert index.known(collection, [*ids, other.id]) == set(ids[3:])
    assert index.known(collection, []) == index.known(new_id(), ids[:2]) == set()


def test_keywords_ids_may_be_removed_while_they_are_read(index: KeywordIndex, collection: str) -> None:
    entries = make_entries(*["the"] * 1_100)
    index.upsert(collection, entries)
    seen = []

    for entry_id in index.ids(collection):
        seen.append(entry_id)
        if len(seen) % 100 == 0:
            index.delete(collection, ids=seen[-100:])

    assert sorted(seen) == sorted(entry.id for entry in entries)


# -- transactions --------------------------------------------------------------------------------


def test_keywords_change_within_a_unit_ends_as_the_unit_does(
    runtime: Runtime, index: KeywordIndex, collection: str
) -> None:
    [kept, gone, never] = make_entries("A robot kept.", "A robot deleted.", "A robot never stored.")
    index.upsert(collection, [kept, gone])

    with runtime.transaction() as session:
        index.upsert(collection, [never], unit=session)
        index.drop(collection, unit=session)
        index.upsert(new_id(), [never], unit=session)
        session.rollback()
    assert set(find(index, collection, "robot")) == {kept.id, gone.id}

    with runtime.transaction() as session:
        index.delete(collection, ids=[gone.id], unit=session)
    assert find(index, collection, "robot") == [kept.id]


def test_keywords_change_of_an_open_unit_is_not_seen_by_others(
    runtime: Runtime, index: KeywordIndex, collection: str
) -> None:
    with runtime.transaction() as session:
        index.upsert(collection, make_entries("A robot."), unit=session)
        assert find(index, collection, "robot") == []
    assert len(find(index, collection, "robot")) == 1


def test_keywords_writers_in_parallel_lose_nothing(index: KeywordIndex, collection: str) -> None:
    batches = [make_entries(*[f"A robot of batch {number}."] * 10) for number in range(16)]
    shared = make_entry("A shared robot.")
    start = threading.Barrier(4)

    def write(part: int) -> None:
        start.wait()
        for batch in batches[part::4]:
            index.upsert(collection, [*batch, shared])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    wanted = {entry.id for batch in batches for entry in batch} | {shared.id}
    assert set(index.ids(collection)) == wanted
    assert set(find(index, collection, "robot", top_k=200)) == wanted


def test_keywords_collection_dropped_while_a_writer_waits_for_it_is_made_again(
    runtime: Runtime, index: KeywordIndex, collection: str
) -> None:
    [before, after] = make_entries("A robot before.", "A robot after.")
    index.upsert(collection, [before])

    with ThreadPoolExecutor(1) as pool:
        with runtime.transaction() as session:
            index.delete(collection, ids=[before.id], unit=session)
            written = pool.submit(index.upsert, collection, [after])
            wait_until(lambda: is_waited_for(runtime))
            index.drop(collection, unit=session)
        written.result(30.0)

    assert find(index, collection, "robot") == [after.id]


def test_keywords_without_their_database_are_unavailable(runtime: Runtime, collection: str) -> None:
    engine = runtime.session_factory.kw["bind"]
    index = runtime.keywords
    pool, timeout = engine.pool, engine.pool._timeout
    held = [engine.connect() for _ in range(pool.size())]
    pool._timeout = 0.05
    try:
        with pytest.raises(Unavailable, match="try again"):
            index.search([collection], "robot", top_k=1)
        with pytest.raises(Unavailable, match="try again"):
            index.upsert(collection, make_entries("A robot."))
    finally:
        pool._timeout = timeout
        for connection in held:
            connection.close()
