"""The demo: made on an empty database, and told of at each start."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from api import queue_factory
from api.errors import InvalidRequest
from api.runtime import Runtime
from api.services.first_start import banner, make_demo, page_of, server_url
from api.settings import Settings, SettingsError

TABLES = queue_factory.TABLES
"""Importing these fills the metadata: tables refer to each other by name."""
DEMO_FILE = "demo.env"
DEMO_KEY = "DEMO_APP_KEY"
DEMO_WORKFLOW_KEY = "DEMO_WORKFLOW_KEY"
DEMO_AGENT_KEY = "DEMO_AGENT_KEY"


def greet(settings: Settings, runtime: Runtime) -> None:
    """Make the demo on an empty database, and print how to use it, now and on every later start."""
    given = settings.owner_password.get_secret_value() if settings.owner_password else None
    try:
        made = make_demo(runtime, email=settings.owner_email, password=given, pages=_pages())
    except InvalidRequest as exc:
        raise SettingsError(f"OWNER_PASSWORD: {exc.message}") from None
    path = settings.data_dir / DEMO_FILE
    if made is not None:
        keys = {
            DEMO_KEY: made.app_key,
            DEMO_WORKFLOW_KEY: made.workflow_key,
            DEMO_AGENT_KEY: made.agent_key,
        }
        _keep_keys(path, keys)
    if not path.exists():
        return
    keys = dict(line.split("=", 1) for line in path.read_text().split())
    url = server_url(settings.public_url, settings.host, settings.port)
    told = banner(
        url,
        keys[DEMO_KEY],
        made,
        page=page_of(runtime, url, keys[DEMO_KEY]),
        workflow_key=keys.get(DEMO_WORKFLOW_KEY),
        agent_key=keys.get(DEMO_AGENT_KEY),
    )
    click.echo(told)


def _pages() -> list[Path]:
    """Return the pages that tell of the program in prose, where they lie beside it."""
    root = Path(__file__).parents[1]
    return sorted((root / "docs").glob("*.md")) + [page for page in (root / "README.md",) if page.exists()]


def _keep_keys(path: Path, keys: Mapping[str, str]) -> None:
    """Keep the demo's keys where only the operator can read them: the database holds their hashes alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={key}\n" for name, key in keys.items())
