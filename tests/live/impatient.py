"""The program with little patience for silent clients; started by tests/commands.py."""

IDLE_S = 0.3


def main() -> None:
    """Start it."""
    from api import cli  # it patches the process that imports it
    from api.controllers.http import uploads

    uploads.IDLE_S = IDLE_S
    cli.main()
