"""The built-in tools of a workspace, and which credentials it has for them."""

from collections.abc import Iterator

from api.core.tools import builtin  # noqa: F401  # makes the built-in tools known
from api.core.tools.provider import TOOL_PROVIDERS, ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services.tool_credentials import CredentialView, load_credentials


def load_builtin(
    runtime: Runtime, principal: Principal
) -> Iterator[tuple[ToolProvider, list[CredentialView]]]:
    """Yield the built-in providers by their label, each with the workspace's credentials for it."""
    with runtime.reading() as session:
        known = load_credentials(runtime, session, principal)
    for provider in sorted(TOOL_PROVIDERS.values(), key=lambda each: each.schema.label.en.lower()):
        yield provider, [view for view in known if view.provider == provider.schema.id]
