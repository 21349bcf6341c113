"""The providers of models that installed plugins bring, each workspace's its own."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from api.core.model_runtime.provider import Provider
from api.core.plugins.models import to_provider
from api.runtime import Runtime
from api.services.plugin_code import installed_ids, load_code


def load_providers(runtime: Runtime, session: Session, tenant_id: str) -> Mapping[str, type[Provider]]:
    """Return the providers of all installed plugins of a workspace, by ``author/plugin/provider``."""
    found: dict[str, type[Provider]] = {}
    for row_id in session.scalars(installed_ids(tenant_id)).all():
        installed = load_code(runtime, session, row_id)
        for declared in installed.manifest.models:
            made = to_provider(installed.manifest, declared, installed.code, runtime.plugins, runtime.http)
            found[made.schema.id] = made
    return found
