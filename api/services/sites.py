"""How an app presents itself to end users: its site, made with the app."""

import secrets
import string

from api.models.app import App, Site

CODE_ALPHABET = string.ascii_letters + string.digits
CODE_LENGTH = 16


def make_site(app: App, *, language: str) -> Site:
    """Return the site of a new app, not yet added to a session; its public code is random."""
    return Site(
        tenant_id=app.tenant_id,
        app_id=app.id,
        code="".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH)),
        title=app.name,
        icon_type=app.icon_type,
        icon=app.icon,
        icon_background=app.icon_background,
        default_language=language,
        created_by=app.created_by,
        updated_by=app.created_by,
    )
