"""Jobs that index documents, and that remove what was indexed."""

from api.runtime import Runtime
from api.services import (
    dataset_purge,
    document_syncs,
    index_jobs,
    rebuild_jobs,
    segment_imports,
    summary_jobs,
)
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.INDEX_DOCUMENT, give_up=index_jobs.give_up_document)
def index_document(runtime: Runtime, lease: Lease) -> None:
    """Index what is not yet indexed of a document."""
    index_jobs.index_document(runtime, lease)


@task(Job.SYNC_DOCUMENT, give_up=document_syncs.give_up_sync)
def sync_document(runtime: Runtime, lease: Lease) -> None:
    """Read a document's page again."""
    document_syncs.sync_document(runtime, lease)


@task(Job.IMPORT_SEGMENTS, give_up=segment_imports.give_up_import)
def import_segments(runtime: Runtime, lease: Lease) -> None:
    """Make segments of a table's rows."""
    segment_imports.run_import(runtime, lease)


@task(Job.SUMMARIZE_DOCUMENT, give_up=summary_jobs.give_up_summaries)
def summarize_document(runtime: Runtime, lease: Lease) -> None:
    """Have a model write the summaries a document waits for."""
    summary_jobs.summarize_document(runtime, lease)


@task(Job.FORGET_ENTRIES)
def forget_entries(runtime: Runtime, lease: Lease) -> None:
    """Remove entries from a store that takes no part in transactions."""
    index_jobs.forget_entries(runtime, lease)


@task(Job.PURGE_DOCUMENT)
def purge_document(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted document left."""
    index_jobs.purge_document(runtime, lease)


@task(Job.PURGE_DATASET)
def purge_dataset(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted dataset left."""
    dataset_purge.purge_dataset(runtime, lease)


@task(Job.REBUILD_DATASET)
def rebuild_dataset(runtime: Runtime, lease: Lease) -> None:
    """Build a dataset's index aside in another way, and swap it in."""
    rebuild_jobs.rebuild_dataset(runtime, lease)
