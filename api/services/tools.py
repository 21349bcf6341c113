"""The tools of a workspace that are built in or come with plugins, and which credentials it has for them."""

from collections.abc import Iterator

from api.core.tools import builtin  # noqa: F401  # makes the built-in tools known
from api.core.tools.provider import TOOL_PROVIDERS, ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services import plugin_tools
from api.services.tool_credentials import CredentialView, load_credentials


def load_builtin(
    runtime: Runtime, principal: Principal
) -> Iterator[tuple[ToolProvider, list[CredentialView]]]:
    """Yield built-in providers and those of plugins by their label, each with the workspace's credentials."""
    with runtime.reading() as session:
        of_plugins = plugin_tools.load_providers(runtime, session, principal.tenant_id)
        known = load_credentials(runtime, session, principal)
    found = [*TOOL_PROVIDERS.values(), *of_plugins]
    for provider in sorted(found, key=lambda each: each.schema.label.en.lower()):
        yield provider, [view for view in known if view.provider == provider.schema.id]
