"""API keys of the public API: made, shown once, hashed, checked.

A key is 24 random characters (142 bits), so a plain SHA-256 of it is as good as
a slow hash and one indexed look-up finds it.
"""

import hashlib
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from api.core.apps.spec import CHAT_MODES, AppMode, AppSpec
from api.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from api.models.account import Tenant, TenantMember
from api.models.annotation import AnnotationSetting
from api.models.app import APIToken, App, AppModelConfig
from api.models.base import utc_now
from api.principal import ActorKind, Principal, Role
from api.runtime import Runtime
from api.services import app_specs, end_users, remembered
from api.services.access import is_id

ALPHABET = string.ascii_letters + string.digits
MAX_KEYS = 10
SCOPES = ("chat", "completion", "workflow", "file", "audio", "dataset")
DEFAULT_SCOPES = ("chat", "completion", "workflow")
KeyKind = Literal["app", "dataset"]
RUN_SCOPES = frozenset(DEFAULT_SCOPES)
MODES_OF_SCOPE = {
    "chat": CHAT_MODES,
    "completion": frozenset({AppMode.COMPLETION}),
    "workflow": frozenset({AppMode.WORKFLOW}),
}


class TooManyKeys(InvalidRequest):
    """The app or the workspace has as many keys as it may."""

    code = "max_keys_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCaller:
    """A caller with an app key, or a guest of the app's page with a passport.

    ``app`` is what it opens, ``key_id`` which key it is; ``guest`` is the guest,
    whose id then stands for the key's.
    """

    key_id: str
    app: AppSpec
    guest: Principal | None = None

    @property
    def invoke_from(self) -> str:
        """Where its runs are said to come from."""
        return "service-api" if self.guest is None else "web-app"

    def end_user(self, user: str | None) -> Principal:
        """Return the end user the caller names, as a principal of the app; a guest is always itself."""
        if self.guest is not None:
            return self.guest
        return end_users.to_principal(self.app.tenant_id, self.app.id, user)

    @property
    def principal(self) -> Principal:
        """The key itself, for what is the app's own and no end user's."""
        return Principal(
            tenant_id=self.app.tenant_id, kind=ActorKind.SERVICE, id=self.key_id, app_id=self.app.id
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeCaller:
    """A caller with a dataset key: whose rights it has, and which key it is."""

    key_id: str
    principal: Principal
    plan: str


@dataclass(frozen=True, slots=True)
class DatasetKey:
    """Key under which a process remembers for a second whose rights a dataset key has."""

    token_hash: str


def hash_token(token: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def create_token(
    session: Session,
    principal: Principal,
    *,
    name: str,
    app_id: str | None,
    permissions: tuple[str, ...] = DEFAULT_SCOPES,
    kind: KeyKind = "app",
) -> tuple[APIToken, str]:
    """Make an app key (or, without ``app_id``, a workspace key); return its row and the key itself.

    One of kind ``dataset`` opens the datasets of the workspace. The key is not
    stored and cannot be shown again. Raises TooManyKeys at the
    eleventh, however many ask at once.
    """
    # Makers of keys take turns at the workspace's row; nothing in it changes.
    session.execute(
        update(Tenant)
        .where(Tenant.id == principal.tenant_id)
        .values(updated_at=Tenant.updated_at)
        .execution_options(synchronize_session=False)
    )
    held = select(func.count()).where(
        APIToken.tenant_id == principal.tenant_id, APIToken.kind == kind, APIToken.app_id == app_id
    )
    if session.scalar(held) >= MAX_KEYS:  # type: ignore[operator]  # a count is never null
        raise TooManyKeys(f"Cannot create more than {MAX_KEYS} API keys for this resource type.")
    token = f"{kind}-" + "".join(secrets.choice(ALPHABET) for _ in range(24))
    row = APIToken(
        tenant_id=principal.tenant_id,
        app_id=app_id,
        kind=kind,
        name=name,
        token_hash=hash_token(token),
        masked=f"{kind}-…{token[-4:]}",
        permissions=list(permissions),
        created_by=principal.id,
    )
    session.add(row)
    session.flush()
    return row, token


def load_tokens(
    session: Session, principal: Principal, app_id: str | None, kind: KeyKind = "app"
) -> list[APIToken]:
    """Return the keys of an app (None: all of the kind), newest first."""
    query = select(APIToken).where(APIToken.tenant_id == principal.tenant_id, APIToken.kind == kind)
    if app_id is not None:
        query = query.where(APIToken.app_id == app_id)
    return list(session.scalars(query.order_by(APIToken.created_at.desc(), APIToken.id)))


def delete_token(
    session: Session, principal: Principal, key_id: str, *, app_id: str | None, kind: KeyKind | None = None
) -> None:
    """Revoke a key of an app and kind (None: any) at once, on every process; raises NotFound."""
    row = None
    if is_id(key_id):
        query = select(APIToken).where(
            APIToken.tenant_id == principal.tenant_id, APIToken.id == key_id.lower()
        )
        row = session.scalars(query).one_or_none()
    if row is None or app_id not in (None, row.app_id) or kind not in (None, row.kind):
        raise NotFound("API key not found.")
    session.delete(row)


def authenticate(
    runtime: Runtime, token: str, *, scope: str | None, app_hint: Callable[[], str | None]
) -> KeyCaller:
    """Return the caller a key belongs to, with its app as configured now, or a second ago.

    ``app_hint`` names the app a workspace key is used for and is asked only
    then. Raises Unauthorized for an unknown key, Forbidden where the app, the
    workspace or the key's scopes do not allow the call. One statement, and none
    for a key that called within the last second (remembered.py).
    """
    token_hash = hash_token(token)
    record = remembered.recall(runtime, token_hash, lambda: _find_caller(runtime, token_hash))
    if record is None:
        raise Unauthorized("Access token is invalid")
    if record.app_id is None:
        record = _caller_of_app(runtime, record.token_tenant_id, token_hash, scope, app_hint())
    _check_caller(record, scope)
    runtime.used_keys[record.token_id] = utc_now()
    return KeyCaller(key_id=record.token_id, app=app_specs.to_spec(runtime, record))


def _find_caller(runtime: Runtime, token_hash: str) -> Row[Any] | None:
    with runtime.reading() as session:
        return session.connection().execute(_CALLER, {"token_hash": token_hash}).one_or_none()


def _caller_of_app(
    runtime: Runtime, tenant_id: str, token_hash: str, scope: str | None, hint: str | None
) -> Row[Any]:
    """Return the record of a workspace key together with the app it is used for."""
    with runtime.reading() as session:
        app_id = _app_of_workspace_key(session, tenant_id, scope, hint)
        named = {"token_hash": token_hash, "app_id": app_id}
        record = session.execute(_CALLER_OF_APP, named).one_or_none()
    if record is None:
        raise Unauthorized("Access token is invalid")
    return record


def authenticate_dataset(runtime: Runtime, token: str) -> KnowledgeCaller:
    """Return the caller a dataset key stands for: it may do what its maker may do now, or might a second ago.

    Workspace keys of the scope ``dataset`` are dataset keys too. Raises
    Unauthorized for any other key, Forbidden where the workspace is archived.
    One statement, and none for a key that called within the last second.
    """
    token_hash = hash_token(token)
    key = DatasetKey(token_hash)
    record = remembered.recall(runtime, key, lambda: _find_knowledge_caller(runtime, token_hash))
    if record is None or not (record.kind == "dataset" or "dataset" in record.permissions):
        raise Unauthorized("Access token is invalid")
    if record.tenant_status != "normal":
        raise Forbidden("The workspace's status is archived.")
    runtime.used_keys[record.id] = utc_now()
    role = Role.from_wire(record.role) if record.role else Role.NORMAL
    maker = record.created_by or record.id
    principal = Principal(tenant_id=record.tenant_id, kind=ActorKind.SERVICE, id=maker, role=role)
    return KnowledgeCaller(key_id=record.id, principal=principal, plan=record.plan)


def _find_knowledge_caller(runtime: Runtime, token_hash: str) -> Row[Any] | None:
    with runtime.reading() as session:
        return session.connection().execute(_KNOWLEDGE, {"token_hash": token_hash}).one_or_none()


def save_uses(runtime: Runtime) -> None:
    """Write down when the keys used since the last call were used; run twice a minute, off the requests."""
    uses = {key_id: runtime.used_keys.pop(key_id) for key_id in list(runtime.used_keys)}
    if not uses:
        return
    with runtime.transaction() as session:
        session.execute(
            update(APIToken.__table__)  # type: ignore[arg-type]  # a Table at run time
            .where(APIToken.id == bindparam("key_id"))
            .values(last_used_at=bindparam("used_at")),
            [{"key_id": key_id, "used_at": used_at} for key_id, used_at in uses.items()],
        )


def _caller_query(app_condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    query: Select[*tuple[Any, ...]] = select(
        APIToken.id.label("token_id"),
        APIToken.tenant_id.label("token_tenant_id"),
        APIToken.permissions,
        App.status.label("app_status"),
        App.enable_api,
        Tenant.status.label("tenant_status"),
        *app_specs.COLUMNS,
    )
    return (
        query.select_from(APIToken)
        .join(Tenant, Tenant.id == APIToken.tenant_id)
        .outerjoin(App, and_(App.tenant_id == APIToken.tenant_id, app_condition))
        .outerjoin(AppModelConfig, AppModelConfig.id == App.app_model_config_id)
        .outerjoin(AnnotationSetting, AnnotationSetting.app_id == App.id)
        .where(APIToken.kind == "app", APIToken.token_hash == bindparam("token_hash"))
    )


_KNOWLEDGE: Select[*tuple[Any, ...]] = (
    select(
        APIToken.id,
        APIToken.tenant_id,
        APIToken.kind,
        APIToken.permissions,
        APIToken.created_by,
        Tenant.status.label("tenant_status"),
        Tenant.plan,
        TenantMember.role,
    )
    .join(Tenant, Tenant.id == APIToken.tenant_id)
    .outerjoin(
        TenantMember,
        and_(TenantMember.tenant_id == APIToken.tenant_id, TenantMember.account_id == APIToken.created_by),
    )
    .where(APIToken.app_id.is_(None), APIToken.token_hash == bindparam("token_hash"))
)

# Built once, and run past the ORM: every public call runs one of these.
_CALLER = _caller_query(App.id == APIToken.app_id)
_CALLER_OF_APP = _caller_query(App.id == bindparam("app_id"))


def _app_of_workspace_key(session: Session, tenant_id: str, scope: str | None, hint: str | None) -> str:
    """Return the app a workspace key is used for: the one named, else the only one that fits the route.

    Where several fit, the only one of the mode the route is named after.
    """
    query = select(App.id).where(App.tenant_id == tenant_id)
    if hint is not None:
        found = session.scalars(query.where(App.id == hint.lower())).all() if is_id(hint) else []
        if not found:
            raise NotFound("App not found.")
    else:
        modes = MODES_OF_SCOPE.get(scope or "", frozenset(AppMode))
        fit = query.where(App.mode.in_(modes)).limit(2)
        found = session.scalars(fit).all()
        if len(found) > 1:
            found = session.scalars(fit.where(App.mode == scope)).all()
        if len(found) != 1:
            raise InvalidRequest(
                "A workspace key needs the app it is used for in the X-App-Id header.",
                field="app_id",
                fault="required",
            )
    return found[0]


def _check_caller(record: Row[Any], scope: str | None) -> None:
    """Raise Forbidden where the app, its workspace or the key's scopes refuse the call."""
    if record.tenant_status != "normal":
        raise Forbidden("The workspace's status is archived.")
    if record.app_status != "normal":
        raise Forbidden("The app's status is abnormal.")
    if not record.enable_api:
        raise Forbidden("The app's API service has been disabled.")
    if scope is not None and not _grants(frozenset(record.permissions), scope):
        raise Forbidden(f"This API key lacks the permission {scope!r}.")


def _grants(permissions: frozenset[str], scope: str) -> bool:
    """Tell whether a key may do something: what was named when it was made, and what comes with that.

    Whoever may run an app of any kind may send the files that go with it. A key
    that may run them all is one that nobody narrowed: it speaks and hears as well.
    """
    if scope in permissions:
        return True
    return (
        bool(permissions & RUN_SCOPES) if scope == "file" else scope == "audio" and permissions >= RUN_SCOPES
    )
