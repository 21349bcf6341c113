"""The few things an operator does by hand, besides to start the program (cli.py)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
from flask import Flask

from api.core.plugins.index import write_index
from api.errors import AppError
from api.foundation import (
    check_database,
    check_schema,
    check_secret,
    create_foundation,
    exchanged,
    keep_secret,
    root_secret,
)
from api.preparation import engine_of, migrations_of
from api.queue_factory import PLUG_INS, TABLES
from api.runtime import Runtime
from api.services import (
    account_deletion,
    backups,
    email_changes,
    held_work,
    password_resets,
    secret_rotation,
    workspace_control,
    workspace_deletion,
)
from api.services.plans import PLANS
from api.services.setup import set_up
from api.services.verification import verify
from api.setting_forms import render_env_example
from api.settings import Settings, SettingsError, load_settings
from api.tasks.cleanup import purge_now

READ = (PLUG_INS, TABLES)
"""Importing these fills the registries and the metadata."""


@click.group()
def main() -> None:
    """Look after an installation."""


@main.command()
@click.option("--down-to", help="Go back to this revision instead; 'base' empties the database.")
def migrate(down_to: str | None) -> None:
    """Bring the database to the newest schema, or back to an older one."""
    try:
        with migrations_of(_app()) as migrations:
            if down_to is None:
                migrations.upgrade()
            else:
                migrations.downgrade(revision=down_to)
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None


@main.command("new-migration")
@click.argument("message")
def new_migration(message: str) -> None:
    """Write a migration from what the tables have become; read it before you trust it."""
    with _told(), migrations_of(_app()) as migrations:
        migrations.upgrade()
        number = int(migrations.newest_revision()) + 1
        migrations.revision(message=message, autogenerate=True, rev_id=f"{number:04}")


@main.command("verify")
@click.option("--dataset", help="Look at the dataset of this id alone.")
@click.option("--repair", is_flag=True, help="Remove what is left over, and write what is missing.")
def verify_stores(dataset: str | None, repair: bool) -> None:
    """Compare documents with vectors and keywords; exit with 1 where something is wrong and stays so."""
    is_wrong = False
    with _told():
        for told in verify(_runtime(), dataset, is_mending=repair):
            click.echo(told.to_line())
            is_wrong |= told.is_wrong
    if is_wrong:
        raise SystemExit(1)


@main.command("plugin-index")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def plugin_index(directory: Path) -> None:
    """Print the index.json of the packages of plugins in a directory."""
    click.echo(write_index(directory))


@main.command("reset-password")
@click.argument("email")
def reset_password(email: str) -> None:
    """Give an account a new password, printed once, and end its sessions."""
    with _told():
        click.echo(password_resets.reset_by_operator(_runtime(), email))


@main.command("change-email")
@click.argument("email")
@click.argument("new")
def change_email(email: str, new: str) -> None:
    """Give an account another e-mail address, and end its sessions."""
    with _told():
        email_changes.change_by_operator(_runtime(), email, new)


@main.command("delete-account")
@click.argument("email")
def delete_account(email: str) -> None:
    """Delete an account for good; workspaces that only it had are suspended."""
    with _told():
        account_deletion.delete_by_operator(_runtime(), email)


@main.group()
def workspace() -> None:
    """Look at workspaces; set their plans, suspend and resume them."""


@workspace.command("list")
def list_workspaces() -> None:
    """Print id, status, plan, end of the trial, owner and name of every workspace."""
    with _told(), _runtime().reading() as session:
        for row, owner in workspace_control.load_tenants(session):
            trial = f"{row.trial_end_at:%Y-%m-%d}" if row.trial_end_at else "-"
            click.echo(f"{row.id}  {row.status}  {row.plan}  {trial}  {owner or '-'}  {row.name}")


@workspace.command("create")
@click.argument("name")
@click.argument("email")
def create_workspace(name: str, email: str) -> None:
    """Make a workspace for an account, and print its id."""
    runtime = _runtime()
    with _told(), runtime.transaction() as session:
        click.echo(workspace_control.create_workspace(runtime, session, name=name, email=email))


@workspace.command("plan")
@click.argument("workspace_id")
@click.argument("plan", type=click.Choice(tuple(PLANS)))
def set_plan(workspace_id: str, plan: str) -> None:
    """Put a workspace on a plan."""
    with _told(), _runtime().transaction() as session:
        workspace_control.set_plan(session, workspace_id, plan)


@workspace.command("trial")
@click.argument("workspace_id")
@click.argument("end", type=click.DateTime(["%Y-%m-%d"]), required=False)
def set_trial(workspace_id: str, end: datetime | None) -> None:
    """Say when (UTC) a workspace's trial ends; without a day it is not on trial."""
    with _told(), _runtime().transaction() as session:
        end_at = None if end is None else end.replace(tzinfo=UTC)
        workspace_control.set_trial_end(session, workspace_id, end_at)


@workspace.command("suspend")
@click.argument("workspace_id")
def suspend(workspace_id: str) -> None:
    """Close a workspace to its members, keys, guests and triggers."""
    with _told(), _runtime().transaction() as session:
        workspace_control.suspend(session, workspace_id)


@workspace.command("resume")
@click.argument("workspace_id")
def resume(workspace_id: str) -> None:
    """Open a suspended workspace again."""
    with _told(), _runtime().transaction() as session:
        workspace_control.resume(session, workspace_id)


@workspace.command("owner")
@click.argument("workspace_id")
@click.argument("email")
def set_owner(workspace_id: str, email: str) -> None:
    """Make an account the owner of a workspace; who was it becomes an admin."""
    with _told(), _runtime().transaction() as session:
        workspace_control.set_owner(session, workspace_id, email)


@workspace.command("delete")
@click.argument("workspace_id")
def delete_workspace(workspace_id: str) -> None:
    """Delete a suspended workspace for good, with all it has; accounts stay."""
    runtime = _runtime()
    with _told(), runtime.transaction() as session:
        workspace_deletion.delete_workspace(runtime, session, workspace_id)


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def back_up_all(file: Path) -> None:
    """Write all rows, files and keys into one archive; the program may work meanwhile."""
    flask, settings = _app(), _settings()
    revision = _checked(flask)
    with _told(), _written_whole(file) as target:
        found = backups.back_up(
            flask.extensions["runtime"], target, revision=revision, secret=root_secret(settings)
        )
    click.echo(f"{sum(found.rows.values())} rows and {found.files} files are in {file}; keep it secret.")


@main.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--resume", "goes_on", is_flag=True, help="Hold nothing back: it takes the place of the original."
)
def restore_all(file: Path, goes_on: bool) -> None:
    """Fill an empty database, and the files, from an archive; nothing may work on it meanwhile.

    Mails, schedules and runs that waited are held until 'resume', so that a copy does nothing twice.
    """
    flask, settings = _app(), _settings()
    with _told(), file.open("rb") as source:
        manifest, secret = backups.read_head(source)
        check_secret(settings, secret)
        with migrations_of(flask) as migrations:
            backups.check_empty(flask.extensions["runtime"])
            migrations.upgrade()
            if manifest.revision != migrations.newest_revision():
                made_by = f"The archive was made by version {manifest.version}, with another schema"
                raise click.ClickException(f"{made_by}; restore it with that one, then upgrade.")
        found = backups.restore(flask.extensions["runtime"], source, is_copy=not goes_on)
        keep_secret(settings, secret)
        click.echo(f"{sum(found.rows.values())} rows and {found.files} files are restored.")
        if not goes_on:
            click.echo(f"Held until `resume`: {found.held.to_line()}.")
        # Once more, with the secret of the archive: what is missing in stores may need a model to be asked.
        told = list(verify(_runtime(), is_mending=True))
    wrong = [finding.to_line() for finding in told if finding.is_wrong]
    click.echo("\n".join(wrong) if wrong else "Searches find what they found.")
    raise SystemExit(bool(wrong))


@main.command("resume")
def resume_held() -> None:
    """Let a restored installation send the mails and run the schedules that 'restore' held."""
    with _told():
        click.echo(f"They go on: {held_work.release(_runtime()).to_line()}.")


@main.command("create-owner")
@click.argument("email")
@click.option("--name", default="Owner", show_default=True)
@click.password_option(envvar="OWNER_PASSWORD")
def create_owner(email: str, name: str, password: str) -> None:
    """Make the owner of an installation that has none."""
    with _told():
        set_up(_runtime(), email=email, name=name, password=password, language="en-US")


@main.command("rotate-secret")
@click.option(
    "--new", envvar="NEW_SECRET_KEY", help="The new secret, from NEW_SECRET_KEY; else one is drawn."
)
def rotate_secret(new: str | None) -> None:
    """Exchange the root secret while nothing runs; everyone signs in again, API keys stay."""
    runtime = _runtime()
    with _told(), exchanged(_settings(), new) as secret:
        count = secret_rotation.rotate(runtime, secret)
    click.echo(f"The keys of {count} workspaces are sealed under the new secret; start again with it.")


@main.command("purge")
def purge_all() -> None:
    """Remove now what the schedule would remove in time: what is deleted, unused, or kept long enough."""
    with _told():
        failed = purge_now(_runtime())
    if failed:
        raise click.ClickException(f"{failed} removals failed; the log says why.")


@main.command()
def env() -> None:
    """Print .env.example."""
    click.echo(render_env_example(Settings.model_fields), nl=False)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None


def _app() -> Flask:
    try:
        return create_foundation(_settings())
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None


def _runtime() -> Runtime:
    """Return what the server works with; ends the command unless the database has this program's schema."""
    flask = _app()
    _checked(flask)
    runtime: Runtime = flask.extensions["runtime"]
    return runtime


def _checked(flask: Flask) -> str:
    """Return the schema of the database; ends the command unless it is this program's."""
    with _told():
        check_database(engine_of(flask))
        return check_schema(engine_of(flask))


@contextmanager
def _told() -> Iterator[None]:
    """Tell what cannot be done in one sentence."""
    try:
        yield
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    except AppError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file that only its owner can read and that has its name once all is written."""
    draft = path.with_name(f".{path.name}.incoming")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
