"""How an app presents itself to end users: its site, made with the app."""

import secrets
import string

from api.models.app import App, Site

CODE_ALPHABET = string.ascii_letters + string.digits
CODE_LENGTH = 16


def make_site(app: App, *, language: str) -> Site:
    """Return the site of a new app, not yet added to a session."""
    return Site(
        tenant_id=app.tenant_id,
        app_id=app.id,
        code=new_code(),
        title=app.name,
        icon_type=app.icon_type,
        icon=app.icon,
        icon_background=app.icon_background,
        default_language=language,
        created_by=app.created_by,
        updated_by=app.created_by,
    )


def new_code() -> str:
    """Return a random public code of a site."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
