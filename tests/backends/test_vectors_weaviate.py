"""Vectors in Weaviate: a server that is away, comes back, or refuses."""

import time

import pytest

from api.backends.offload import Backend as Offload
from api.backends.vectors import weaviate
from api.errors import Unavailable
from tests.ports import free_port
from tests.vector_stores import serving_double
from tests.vectors import UNDELETABLE, make_entries, make_entry, make_vector, new_id
from tests.waiting import assert_quick


def test_server_that_restarts_is_found_again() -> None:
    entries, collection = make_entries(2), new_id()
    ports = free_port(), free_port()  # which nobody else is given while the server is away
    with serving_double(*ports) as (url, grpc_port):
        store = weaviate.Backend(url, grpc_port, None, Offload())
        store.upsert(collection, entries)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="Weaviate"):
        store.search([collection], make_vector("query"), top_k=1)
    assert_quick(time.monotonic() - started, 3)
    with serving_double(*ports):
        store.upsert(collection, entries)
        assert len(store.search([collection], make_vector("query"), top_k=5)) == 2
    store.close()


def test_server_out_of_reach_is_unavailable_at_once() -> None:
    port = free_port()
    store = weaviate.Backend(f"http://127.0.0.1:{port}", port, None, Offload())
    started = time.monotonic()
    for call in (
        lambda: store.upsert(new_id(), make_entries(1)),
        lambda: store.search([new_id()], make_vector("query"), top_k=1),
        lambda: store.delete(new_id(), ids=[new_id()]),
        lambda: list(store.ids(new_id())),
    ):
        with pytest.raises(Unavailable, match="Weaviate, the store of vectors, is not available"):
            call()
    assert_quick(time.monotonic() - started, 5)


def test_deletion_the_server_fails_is_an_error() -> None:
    with serving_double() as address:
        store, collection = weaviate.Backend(*address, None, Offload()), new_id()
        store.upsert(collection, [*make_entries(3), make_entry(1, UNDELETABLE)])
        with pytest.raises(Unavailable, match="could not delete 1 of 1"):
            store.delete(collection, document_id=UNDELETABLE)
        store.close()
