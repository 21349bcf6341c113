"""Patches the standard library for gevent; the first import of every entry point but gunicorn's."""

from gevent import monkey

monkey.patch_all()
