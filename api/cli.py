"""The command line: starts the program; what an operator does by hand stands in commands.py.

The process of a start stays for as long as the program serves, as the parent of
what serves. It reads no more than it needs for that: whatever else it had read,
there would be twice.
"""

import api.gevent_boot  # noqa: F401  # isort: skip  # the patch comes before everything it patches

import gc
import importlib
import os
import sys
from pathlib import Path

import click
from gevent import monkey
from gevent.os import fork_gevent
from gunicorn.app.wsgiapp import WSGIApplication

from api.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[1]

SHARED = ("sqlalchemy.orm", "flask_sqlalchemy")
"""What both processes that are forked need, read once for both: 0.3 s of a start, for 15 MB."""


class Commands(click.Group):
    """A start, and what is done by hand, which is read when it is asked for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name."""
        return super().get_command(ctx, cmd_name) or _by_hand().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *_by_hand().list_commands(ctx)])


def _by_hand() -> click.Group:
    group: click.Group = importlib.import_module("api.commands").main
    return group


@click.group(cls=Commands)
def main() -> None:
    """Run Slipway."""


@main.command()
@click.option(
    "--demo", is_flag=True, help="Make an owner and a demo app on an empty database unless DEMO=false."
)
def start(demo: bool) -> None:
    """Migrate, print where to go, and serve."""
    settings = _settings(demo)
    gc.set_threshold(20_000, 10, 10)  # for all that is forked: what is read stays, and is not garbage
    for name in SHARED:
        importlib.import_module(name)
    child = fork_gevent()
    if child == 0:
        os._exit(importlib.import_module("api.preparation").prepare(settings))
    # The system's own wait: gevent's sleeps for a minute where the child has ended before it begins.
    _, status = monkey.get_original("os", "waitpid")(child, 0)
    if status != 0:
        raise SystemExit(1)
    if settings.workers > 1:
        importlib.import_module("api.app_factory")  # several share what was read before they were forked
    gc.freeze()  # what is shared their collector must not touch, and so copy
    sys.argv[:] = ["gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
    WSGIApplication("%(prog)s").run()


def _settings(demo: bool) -> Settings:
    try:
        settings = load_settings()
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    is_demo = demo and "demo" not in settings.model_fields_set
    return settings.model_copy(update={"demo": True}) if is_demo else settings


if __name__ == "__main__":
    main()
