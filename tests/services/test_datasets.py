"""What two who act on one dataset at once may rely on."""

from threading import Thread

from api.errors import AppError
from api.models.dataset import AppDataset
from api.runtime import Runtime
from api.services import datasets
from tests.factories import Owner, make_app
from tests.knowledge import make_dataset


def test_dataset_an_app_is_about_to_use_is_not_deleted(runtime: Runtime, owner: Owner) -> None:
    app_id, dataset_id = make_app(runtime, owner), make_dataset(runtime, owner)
    refusals: list[str] = []

    def delete() -> None:
        try:
            with runtime.transaction() as session:
                datasets.delete_dataset(runtime, session, owner.principal, dataset_id)
        except AppError as error:
            refusals.append(error.code)

    deleting = Thread(target=delete)
    with runtime.transaction() as session:
        session.add(AppDataset(tenant_id=owner.tenant_id, app_id=app_id, dataset_id=dataset_id))
        session.flush()
        deleting.start()
        deleting.join(timeout=0.2)
        assert deleting.is_alive()
    deleting.join(timeout=30)

    assert refusals == ["dataset_in_use"]
