"""Code and templates in processes of our own: Python on Monty, JavaScript on V8, Jinja2 sandboxed.

Implements CodeSandbox with nothing but packages. What the three can do, and what
not, stands in docs/how-to/sandbox.md.
"""

from typing import Self

from api.backends.sandbox.child import to_object
from api.backends.sandbox.pool import Pool, warm_pool
from api.backends.sandbox.templates import Templates
from api.core.ports import Cancel, CodeFailed, JSONObject
from api.settings import Settings

ENGINES = {"python3": "python", "javascript": "javascript"}


class Backend:
    """Implements CodeSandbox by a pool of warm processes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._templates = Templates(pool)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Bound the processes by SANDBOX_MEMORY_MB and SANDBOX_PARALLEL; none is started yet."""
        return cls(warm_pool(settings))

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONObject:
        """Return what ``main`` returns; see CodeSandbox."""
        if language not in ENGINES:
            raise CodeFailed(f"Code in {language!r} cannot be run here; python3 and javascript can.")
        return to_object(self._pool.ask(ENGINES[language], code, inputs, timeout_s=timeout_s, cancel=cancel))

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        """Return the filled template; see CodeSandbox."""
        return self._templates.render(template, variables, timeout_s=timeout_s, cancel=cancel)

    def stop(self) -> None:
        """End the processes."""
        self._pool.stop()
