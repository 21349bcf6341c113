"""The root secret exchanged: what it seals can be read under the new one, and no longer under the old."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from api.backends.secret import exchanged
from api.core.vault import SealBroken, Vault, seal, unseal
from api.errors import Conflict
from api.models.base import utc_now
from api.models.job import WorkerBeat
from api.services import runs, secret_rotation, tenants
from api.settings import SettingsError
from tests.commands import Commands
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import make_owner
from tests.live.conftest import PATIENT

ROOT = Path(__file__).parents[2]
NEW = "the-next-secret-0123456789-abcdefgh"


def test_rotation_seals_the_keys_of_all_workspaces_anew_or_none(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path))
    old = app.extensions["runtime"]
    owners = [make_owner(old) for _ in range(3)]
    with old.reading() as session:
        key, _ = tenants.load_data_keys(old, session, owners[0].tenant_id)
    sealed = seal(key, b"a credential", "here")

    assert secret_rotation.rotate(old, NEW) == 3

    new = replace(old, vault=Vault(NEW))
    with new.reading() as session:
        _, keys = tenants.load_data_keys(new, session, owners[0].tenant_id)
    assert unseal(keys, sealed, "here") == b"a credential"
    with pytest.raises(SealBroken), old.reading() as session:
        tenants.load_data_keys(old, session, owners[1].tenant_id)
    with pytest.raises(Conflict):
        secret_rotation.rotate(old, "yet-another-secret-0123456789-abcde")
    with new.reading() as session:
        tenants.load_data_keys(new, session, owners[2].tenant_id)
    stop_house(app)


def test_rotation_waits_until_nothing_runs_that_has_the_old_secret(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path))
    runtime = app.extensions["runtime"]
    make_owner(runtime)
    runs.beat(runtime)

    with pytest.raises(Conflict, match="stop its servers"), exchanged(make_settings(tmp_path), NEW) as secret:
        secret_rotation.rotate(runtime, secret)
    assert list(tmp_path.glob("secret_key*")) == []

    with runtime.transaction() as session:
        silent_since = utc_now() - runs.SILENT_AFTER
        session.execute(update(WorkerBeat).values(beat_at=silent_since))
    assert secret_rotation.rotate(runtime, NEW) == 1
    stop_house(app)


@pytest.mark.parametrize("given", ["short-0123456789", "ab" * 20, f"{NEW}\n"])
def test_secret_that_no_start_would_take_is_refused_before_anything_is_sealed(
    tmp_path: Path, given: str
) -> None:
    with pytest.raises(SettingsError, match="NEW_SECRET_KEY"), exchanged(make_settings(tmp_path), given):
        pytest.fail("the exchange has begun")

    assert list(tmp_path.iterdir()) == []


@PATIENT
def test_command_exchanges_the_secret_beside_the_data_and_one_that_is_set_by_its_successor(
    commands: Commands, tmp_path: Path
) -> None:
    def run(**settings: str) -> "subprocess.CompletedProcess[str]":
        return commands.run("rotate-secret", DATA_DIR=str(tmp_path), **settings)

    app = make_house(make_settings(tmp_path, secret_key=None))
    make_owner(app.extensions["runtime"])
    stop_house(app)
    before = (tmp_path / "secret_key").read_text()

    assert "NEW_SECRET_KEY" in run(SECRET_KEY=before).stderr
    assert run().stdout == "The keys of 1 workspaces are sealed under the new secret; start again with it.\n"

    after = (tmp_path / "secret_key").read_text()
    assert len(after) >= 32
    assert after != before
    assert sorted(path.name for path in tmp_path.glob("secret_key*")) == ["secret_key"]
