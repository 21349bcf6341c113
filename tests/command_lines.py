"""Runs command lines one after another on one program; started by tests/commands.py."""

import functools
import json
import sys

from click.testing import CliRunner


def main() -> None:
    """Run what the first argument has as JSON; print how each line ends and what it prints."""
    from api import cli, commands  # the first patches the process that imports it

    commands._app = functools.cache(commands._app)
    for line in json.loads(sys.argv[1]):
        result = CliRunner().invoke(cli.main, line)
        sys.stdout.write(json.dumps([result.exit_code, result.output]) + "\n")
