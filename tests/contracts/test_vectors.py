"""What every VectorStore promises; all give the same entries the same scores."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.core.rag.chunk import VectorEntry
from api.core.rag.vector_store import VectorStore
from api.errors import InvalidRequest
from tests.vector_stores import MakeStore, Sessions
from tests.vectors import DIMENSION, found, ids_of, make_entries, make_entry, make_vector, nearest, new_id


@pytest.fixture
def store(make_store: MakeStore) -> VectorStore:
    return make_store()


@pytest.fixture
def collection(store: VectorStore) -> Iterator[str]:
    name = new_id()
    yield name
    store.drop(name)


# -- searching -----------------------------------------------------------------------------------


def test_search_gives_the_nearest_in_order_with_their_cosines(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(60), make_vector("query")
    store.upsert(collection, entries)
    assert found(store.search([collection], query, top_k=10)) == nearest(entries, query, 10)


def test_search_hit_tells_collection_segment_and_document(store: VectorStore, collection: str) -> None:
    entry = make_entry(1)
    store.upsert(collection, [entry])
    (hit,) = store.search([collection], entry.vector, top_k=3)
    assert (hit.collection, hit.id, hit.segment_id, hit.document_id) == (
        collection,
        entry.id,
        entry.segment_id,
        entry.document_id,
    )
    assert hit.score == pytest.approx(1.0, abs=2e-6)
    assert hit.score <= 1.0


def test_search_takes_a_query_and_entries_of_any_length(store: VectorStore, collection: str) -> None:
    entry = make_entry(1)
    longer = VectorEntry(
        id=entry.id,
        segment_id=entry.segment_id,
        document_id=entry.document_id,
        vector=[7 * number for number in entry.vector],
    )
    store.upsert(collection, [longer])
    (hit,) = store.search([collection], [0.1 * number for number in entry.vector], top_k=1)
    assert hit.score == pytest.approx(1.0, abs=2e-6)


def test_search_takes_negative_cosines_as_zero(store: VectorStore, collection: str) -> None:
    entry = make_entry(1)
    store.upsert(collection, [entry])
    (hit,) = store.search([collection], [-number for number in entry.vector], top_k=1)
    assert hit.score == 0.0


def test_search_leaves_out_what_is_below_the_least_score(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(40), make_vector("query")
    store.upsert(collection, entries)
    all_of_them = nearest(entries, query, 40)
    between = (all_of_them[14][1] + all_of_them[15][1]) / 2
    assert found(store.search([collection], query, top_k=40, min_score=between)) == all_of_them[:15]


def test_search_for_more_than_there_is_gives_all(store: VectorStore, collection: str) -> None:
    entries = make_entries(3)
    store.upsert(collection, entries)
    assert len(store.search([collection], make_vector("query"), top_k=100)) == 3


def test_search_looks_only_at_the_documents_given(store: VectorStore, collection: str) -> None:
    one, two, three = new_id(), new_id(), new_id()
    entries = [*make_entries(10, one), *make_entries(10, two), *make_entries(10, three)]
    store.upsert(collection, entries)
    query = make_vector("query")
    hits = store.search([collection], query, top_k=15, documents={one, three, new_id()})
    wanted = [entry for entry in entries if entry.document_id != two]
    assert found(hits) == nearest(wanted, query, 15)
    assert store.search([collection], query, top_k=5, documents=[new_id()]) == []
    assert store.search([collection], query, top_k=5, documents=[]) == []


def test_search_within_a_thousand_documents_finds_theirs(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(30), make_vector("query")
    store.upsert(collection, entries)
    documents = [entry.document_id for entry in entries[::2]] + [new_id() for _ in range(1_000)]
    hits = store.search([collection], query, top_k=10, documents=documents)
    assert found(hits) == nearest(entries[::2], query, 10)


def test_search_of_several_collections_gives_the_best_of_all(store: VectorStore) -> None:
    collections = [new_id() for _ in range(5)]
    entries = {name: make_entries(12) for name in collections}
    for name, some in entries.items():
        store.upsert(name, some)
    query = make_vector("query")
    hits = store.search([*collections, new_id()], query, top_k=20)
    everything = [entry for some in entries.values() for entry in some]
    assert found(hits) == nearest(everything, query, 20)
    collection_by_id = {entry.id: name for name, some in entries.items() for entry in some}
    assert [hit.collection for hit in hits] == [collection_by_id[hit.id] for hit in hits]
    for name in collections:
        store.drop(name)


def test_search_of_what_does_not_exist_finds_nothing(store: VectorStore) -> None:
    assert store.search([new_id()], make_vector("query"), top_k=3) == []
    assert store.search([], make_vector("query"), top_k=3) == []


def test_search_with_another_dimension_is_refused(store: VectorStore, collection: str) -> None:
    store.upsert(collection, make_entries(3))
    with pytest.raises(InvalidRequest, match="8 dimensions where the collection's have 16"):
        store.search([collection], make_vector("query", 8), top_k=3)


def test_vectors_of_3072_dimensions_are_found(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(12, dimension=3072), make_vector("query", 3072)
    store.upsert(collection, entries)
    assert found(store.search([collection], query, top_k=5)) == nearest(entries, query, 5)


# -- writing -------------------------------------------------------------------------------------


def test_upsert_replaces_what_has_the_same_id(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(10), make_vector("query")
    store.upsert(collection, entries)
    store.search([collection], query, top_k=3)
    changed = VectorEntry(id=entries[4].id, segment_id=new_id(), document_id=new_id(), vector=query)
    store.upsert(collection, [changed])
    hits = store.search([collection], query, top_k=20)
    assert found(hits) == nearest([*entries[:4], changed, *entries[5:]], query, 20)
    assert (hits[0].segment_id, hits[0].document_id) == (changed.segment_id, changed.document_id)
    assert sorted(store.ids(collection)) == sorted(entry.id for entry in entries)


def test_upsert_of_one_id_twice_keeps_the_last(store: VectorStore, collection: str) -> None:
    first, last = make_entry(1), make_vector(2)
    again = VectorEntry(id=first.id, segment_id=first.segment_id, document_id=first.document_id, vector=last)
    store.upsert(collection, [first, again])
    (hit,) = store.search([collection], last, top_k=5)
    assert hit.score == pytest.approx(1.0, abs=2e-6)


def test_upsert_of_nothing_is_no_error(store: VectorStore, collection: str) -> None:
    store.upsert(collection, [])
    assert store.search([collection], make_vector("query"), top_k=3) == []


@pytest.mark.parametrize("dimensions", [[8], [16, 8]])
def test_upsert_of_another_dimension_is_refused_and_leaves_nothing(
    store: VectorStore, collection: str, dimensions: list[int]
) -> None:
    entry = make_entry(1)
    store.upsert(collection, [entry])
    with pytest.raises(InvalidRequest, match="8 dimensions where the collection's have 16"):
        store.upsert(collection, [make_entry(2, dimension=dimension) for dimension in dimensions])
    assert list(store.ids(collection)) == [entry.id]


@pytest.mark.parametrize("vector", [[0.0] * DIMENSION, [float("nan")] * DIMENSION, []])
def test_upsert_of_a_vector_without_direction_is_refused(
    store: VectorStore, collection: str, vector: list[float]
) -> None:
    entry = VectorEntry(id=new_id(), segment_id=new_id(), document_id=new_id(), vector=vector)
    with pytest.raises(InvalidRequest, match="without a direction"):
        store.upsert(collection, [entry])


def test_small_writes_are_each_seen_by_the_next_search(store: VectorStore, collection: str) -> None:
    query = make_vector("query")
    entries: list[VectorEntry] = []
    for entry in make_entries(40):
        entries.append(entry)
        store.upsert(collection, [entry])
        assert found(store.search([collection], query, top_k=3)) == nearest(entries, query, 3)


def test_write_of_another_process_is_seen_by_the_next_search(
    make_store: MakeStore, store: VectorStore, collection: str
) -> None:
    other, query, entries = make_store(), make_vector("query"), make_entries(30)
    other.upsert(collection, entries)
    assert found(store.search([collection], query, top_k=30)) == nearest(entries, query, 30)
    other.delete(collection, ids=[entry.id for entry in entries[:10]])
    assert found(store.search([collection], query, top_k=30)) == nearest(entries[10:], query, 30)
    more = make_entries(5)
    other.delete(collection, ids=[entries[10].id])
    other.upsert(collection, more)
    assert found(store.search([collection], query, top_k=30)) == nearest([*entries[11:], *more], query, 30)
    other.drop(collection)
    assert store.search([collection], query, top_k=30) == []


def test_collection_made_again_has_nothing_of_the_old(
    make_store: MakeStore, store: VectorStore, collection: str
) -> None:
    other, query = make_store(), make_vector("query", 8)
    store.upsert(collection, make_entries(5))
    store.search([collection], make_vector("query"), top_k=3)
    other.drop(collection)
    entries = make_entries(4, dimension=8)
    other.upsert(collection, entries)
    assert found(store.search([collection], query, top_k=9)) == nearest(entries, query, 9)


# -- deleting ------------------------------------------------------------------------------------


def test_delete_by_ids_removes_those_alone(store: VectorStore, collection: str) -> None:
    entries, query = make_entries(20), make_vector("query")
    store.upsert(collection, entries)
    store.search([collection], query, top_k=3)
    gone = [entry.id for entry in entries[:7]]
    store.delete(collection, ids=[*gone, new_id()])
    store.delete(collection, ids=gone)
    assert found(store.search([collection], query, top_k=20)) == nearest(entries[7:], query, 20)
    assert set(store.ids(collection)) == {entry.id for entry in entries[7:]}


def test_delete_by_ids_takes_more_than_a_thousand(store: VectorStore, collection: str) -> None:
    entries = make_entries(1_500)
    store.upsert(collection, entries)
    store.delete(collection, ids=[entry.id for entry in entries[:1_400]])
    assert set(store.ids(collection)) == {entry.id for entry in entries[1_400:]}


def test_delete_of_a_document_removes_all_its_entries(store: VectorStore, collection: str) -> None:
    gone, kept = make_entries(1_100, new_id()), make_entries(10)
    store.upsert(collection, [*gone, *kept])
    for _ in range(2):
        store.delete(collection, document_id=gone[0].document_id)
        assert set(store.ids(collection)) == {entry.id for entry in kept}


def test_delete_of_nothing_leaves_all(store: VectorStore, collection: str) -> None:
    entries = make_entries(3)
    store.upsert(collection, entries)
    store.delete(collection, ids=[])
    store.delete(collection)
    store.delete(collection, ids=[new_id()], document_id=new_id())
    assert len(list(store.ids(collection))) == 3


def test_delete_and_drop_of_what_does_not_exist_are_no_errors(store: VectorStore) -> None:
    store.delete(new_id(), ids=[new_id()])
    store.delete(new_id(), document_id=new_id())
    store.drop(new_id())


def test_drop_removes_the_collection_alone(store: VectorStore, collection: str) -> None:
    other = new_id()
    store.upsert(collection, make_entries(3))
    store.upsert(other, make_entries(3))
    store.drop(other)
    names = set(store.collections())
    assert collection in names
    assert other not in names
    assert list(store.ids(other)) == []
    assert len(store.search([collection, other], make_vector("query"), top_k=9)) == 3


# -- reading -------------------------------------------------------------------------------------


def test_vectors_are_read_back_at_unit_length(store: VectorStore, collection: str) -> None:
    entries = make_entries(6)
    store.upsert(collection, entries)
    read = store.vectors(collection, [entry.id for entry in entries[:4]] + [new_id()])
    assert read.keys() == {entry.id for entry in entries[:4]}
    for entry in entries[:4]:
        assert list(read[entry.id]) == pytest.approx(entry.vector, abs=1e-7)


def test_known_tells_which_ids_have_an_entry(store: VectorStore, collection: str) -> None:
    entries = make_entries(1_200)
    store.upsert(collection, entries)
    ids = [entry.id for entry in entries]
    store.delete(collection, ids=ids[:3])
    assert store.known(collection, [*ids, new_id()]) == set(ids[3:])


def test_ids_may_be_removed_while_they_are_read(store: VectorStore, collection: str) -> None:
    entries = make_entries(600)
    store.upsert(collection, entries)
    seen = []
    for entry_id in store.ids(collection):
        seen.append(entry_id)
        if len(seen) % 100 == 0:
            store.delete(collection, ids=seen[-100:])
    assert sorted(seen) == sorted(entry.id for entry in entries)
    assert list(store.ids(collection)) == []


def test_reading_what_does_not_exist_gives_nothing(store: VectorStore, collection: str) -> None:
    store.upsert(collection, make_entries(1))
    assert store.known(collection, []) == set()
    assert store.known(new_id(), [new_id()]) == set()
    assert store.vectors(collection, []) == {}
    assert store.vectors(new_id(), [new_id()]) == {}
    assert list(store.ids(new_id())) == []


# -- transactions --------------------------------------------------------------------------------


@pytest.fixture
def unit_sessions(request: pytest.FixtureRequest, make_store: MakeStore) -> Sessions:
    """The sessions of a store that writes in the caller's transaction."""
    name = request.node.callspec.params["make_store"].removeprefix("local-")
    if name == "weaviate":
        pytest.skip("it has no part in transactions")
    sessions: Sessions = request.getfixturevalue(f"{name}_sessions")
    return sessions


def test_unit_rolled_back_changes_nothing(
    unit_sessions: Sessions, store: VectorStore, collection: str
) -> None:
    entries, query, never_made = make_entries(6), make_vector("query"), new_id()
    store.upsert(collection, entries)
    with unit_sessions() as unit:
        store.upsert(collection, make_entries(5), unit=unit)
        store.upsert(never_made, make_entries(5), unit=unit)
        store.delete(collection, ids=[entries[0].id], unit=unit)
        store.delete(collection, document_id=entries[1].document_id, unit=unit)
        assert found(store.search([collection], query, top_k=20)) == nearest(entries, query, 20)
        store.drop(collection, unit=unit)
        unit.rollback()
    assert found(store.search([collection, never_made], query, top_k=20)) == nearest(entries, query, 20)
    assert never_made not in set(store.collections())


def test_unit_committed_changes_all_at_once(
    unit_sessions: Sessions, store: VectorStore, collection: str
) -> None:
    old, new, query = make_entries(6), make_entries(4), make_vector("query")
    store.upsert(collection, old)
    with unit_sessions.begin() as unit:
        store.upsert(collection, new, unit=unit)
        store.delete(collection, ids=[entry.id for entry in old], unit=unit)
        assert found(store.search([collection], query, top_k=20)) == nearest(old, query, 20)
    assert found(store.search([collection], query, top_k=20)) == nearest(new, query, 20)


# -- concurrency ---------------------------------------------------------------------------------


def test_first_writes_of_many_at_once_all_count(make_store: MakeStore, collection: str) -> None:
    batches = [make_entries(5) for _ in range(8)]
    stores = [make_store() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 4].upsert(collection, batches[n]), range(8)))
    assert set(stores[0].ids(collection)) == {entry.id for batch in batches for entry in batch}


def test_readers_beside_writers_see_whole_batches(
    unit_sessions: Sessions, make_store: MakeStore, collection: str
) -> None:
    """Each transaction replaces one document of five entries by another; a reader sees one, whole."""
    writer, reader = make_store(), make_store()
    documents = [make_entries(5, new_id()) for _ in range(25)]
    writer.upsert(collection, documents[0])
    writing_is_over = threading.Event()
    query = make_vector("query")
    torn: list[list[str]] = []
    searches = 0

    def write() -> None:
        try:
            for old, new in itertools.pairwise(documents):
                with unit_sessions.begin() as unit:
                    writer.delete(collection, document_id=old[0].document_id, unit=unit)
                    writer.upsert(collection, new, unit=unit)
        finally:
            writing_is_over.set()

    with ThreadPoolExecutor(4) as pool:
        written = pool.submit(write)
        while not writing_is_over.is_set() or searches < 30:
            for hits in pool.map(lambda _: reader.search([collection], query, top_k=20), range(3)):
                searches += 1
                if len(hits) != 5 or len({hit.document_id for hit in hits}) != 1:
                    torn.append([hit.document_id for hit in hits])
        written.result()
    assert torn == []
    assert set(ids_of(reader.search([collection], query, top_k=20))) == {entry.id for entry in documents[-1]}
