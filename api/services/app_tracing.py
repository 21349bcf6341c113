"""Whether the runs of an app are traced by a service outside; no such service can be configured yet."""

from sqlalchemy.orm import Session

from api.errors import BadRequest
from api.principal import Principal
from api.services.access import access_app


class TraceConfigMissing(BadRequest):
    """The app has no configuration of the tracing service."""

    code = "trace_config_not_exist"


def check_traced(session: Session, principal: Principal, app_id: str) -> bool:
    """Tell whether an app is traced; raises AppNotFound."""
    access_app(session, principal, app_id)
    return False


def set_traced(session: Session, principal: Principal, app_id: str, *, is_traced: bool) -> None:
    """Switch tracing; raises AppNotFound, and TraceConfigMissing where there is nothing to trace with."""
    access_app(session, principal, app_id)
    if is_traced:
        raise TraceConfigMissing("Configure a tracing service for the app first.")
