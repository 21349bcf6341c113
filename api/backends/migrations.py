"""Migrations of the database by Flask-Migrate; who serves never loads them (10 MB)."""

from flask import Flask
from flask_migrate import Migrate, downgrade, revision, upgrade

__all__ = ["downgrade", "install_migrations", "revision", "upgrade"]


def install_migrations(flask: Flask) -> None:
    """Let the functions of this module work in a context of ``flask``."""
    Migrate(flask, flask.extensions["sqlalchemy"], directory="migrations", render_as_batch=True)
