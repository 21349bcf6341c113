"""Jobs on the annotations of apps."""

from api.runtime import Runtime
from api.services import annotation_index, annotation_work
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.INDEX_ANNOTATIONS)
def index_annotations(runtime: Runtime, lease: Lease) -> None:
    """Put new questions into the index of their app."""
    annotation_index.index_annotations(runtime, lease)


@task(Job.SWITCH_ANNOTATIONS, give_up=annotation_work.give_up)
def switch_annotations(runtime: Runtime, lease: Lease) -> None:
    """Have an app answer by its annotations, or no longer."""
    annotation_work.run_switch(runtime, lease)


@task(Job.IMPORT_ANNOTATIONS, give_up=annotation_work.give_up)
def import_annotations(runtime: Runtime, lease: Lease) -> None:
    """Add the pairs of a table to an app's annotations."""
    annotation_work.run_import(runtime, lease)
