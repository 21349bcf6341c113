"""The variables an account sees beside a draft: as its last test left them, or as it edited them.

A conversation variable is there before any test, with the value conversations
begin with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.declared import DeclaredVariable, read_conversation
from api.core.workflow.variables import ANY_FILE, CONVERSATION, SYSTEM, ValueType, accepts, type_of
from api.errors import Duplicate, InvalidRequest, NotFound
from api.models.base import utc_now
from api.models.types import insert_for
from api.models.workflow import DraftVariable, NodeExecution
from api.principal import Principal
from api.runtime import Runtime
from api.services import flow_files, workflow_runs, workflows
from api.services.access import is_id
from api.services.draft_rows import variable_id
from api.services.workflows import access_draft, access_flow_app

DRAWN = ("id", "tenant_id", "app_id", "account_id", "node_id", "name", "value", "value_type", "is_edited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable as it is shown: ``kind`` is node, sys, conversation or env."""

    id: str
    kind: str
    node_id: str
    name: str
    value_type: str
    value: JSONValue
    description: str = ""
    is_edited: bool = False


@dataclass(frozen=True, slots=True)
class _Scope:
    """The variables of one account beside one draft."""

    session: Session
    tenant_id: str
    app_id: str
    account_id: str
    declared: dict[str, DeclaredVariable]

    @property
    def where(self) -> tuple[ColumnElement[bool], ...]:
        return (
            DraftVariable.tenant_id == self.tenant_id,
            DraftVariable.app_id == self.app_id,
            DraftVariable.account_id == self.account_id,
        )

    def of_node(self, node_id: str) -> list[DraftVariable]:
        query = select(DraftVariable).where(*self.where, DraftVariable.node_id == node_id)
        return list(self.session.scalars(query.order_by(DraftVariable.name)))

    def find(self, row_id: str) -> DraftVariable:
        """Return a variable; raises NotFound. That of a conversation need not be stored yet."""
        row = None
        if is_id(row_id):
            query = select(DraftVariable).where(*self.where, DraftVariable.id == row_id.lower())
            row = self.session.scalars(query).one_or_none()
        if row is None:
            row = next((made for made in self.untouched() if made.id == row_id.lower()), None)
        if row is None:
            raise NotFound("Variable not found.")
        return row

    def stored(self, row_id: str) -> DraftVariable:
        """Return a variable that has a row from now on; raises NotFound."""
        row = self.find(row_id)
        if row not in self.session:
            drawn = {name: getattr(row, name) for name in DRAWN}
            insert = insert_for(self.session)(DraftVariable).values(**drawn, created_at=utc_now())
            self.session.execute(insert.on_conflict_do_nothing())
            return self.find(row.id)
        return row

    def untouched(self) -> Iterator[DraftVariable]:
        """Yield the conversation variables as conversations begin with them; they are not stored."""
        for item in self.declared.values():
            yield DraftVariable(
                id=variable_id(self.app_id, self.account_id, CONVERSATION, item.name),
                tenant_id=self.tenant_id,
                app_id=self.app_id,
                account_id=self.account_id,
                node_id=CONVERSATION,
                name=item.name,
                value=item.begins_with,
                value_type=str(item.value_type),
                is_edited=False,
            )

    def shown(self, row: DraftVariable) -> Variable:
        declared = self.declared.get(row.name) if row.node_id == CONVERSATION else None
        return Variable(
            id=row.id,
            kind=row.node_id if row.node_id in (SYSTEM, CONVERSATION) else "node",
            node_id=row.node_id,
            name=row.name,
            value_type=str(declared.value_type) if declared else row.value_type,
            value=row.value,
            description=declared.description if declared else "",
            is_edited=row.is_edited,
        )


def load_page(
    session: Session, principal: Principal, app_id: str, *, page: int, limit: int
) -> tuple[list[Variable], int]:
    """Return a page of all that is stored, and how much that is. Raises AppNotFound, DraftNotFound."""
    scope = _scope(session, principal, app_id)
    total = session.scalar(select(func.count()).select_from(DraftVariable).where(*scope.where)) or 0
    query = (
        select(DraftVariable)
        .where(*scope.where)
        .order_by(DraftVariable.node_id, DraftVariable.name)
        .offset((page - 1) * limit)
        .limit(limit)
    )
    return [scope.shown(row) for row in session.scalars(query)], total


def load_of_node(session: Session, principal: Principal, app_id: str, node_id: str) -> list[Variable]:
    """Return what one node left, or the system. Raises AppNotFound, DraftNotFound."""
    scope = _scope(session, principal, app_id)
    return [scope.shown(row) for row in scope.of_node(node_id)]


def load_conversation(session: Session, principal: Principal, app_id: str) -> list[Variable]:
    """Return the conversation variables the draft declares. Raises AppNotFound, DraftNotFound."""
    scope = _scope(session, principal, app_id)
    stored = {row.name: row for row in scope.of_node(CONVERSATION)}
    return [scope.shown(stored.get(row.name, row)) for row in scope.untouched()]


def load_environment(runtime: Runtime, session: Session, principal: Principal, app_id: str) -> list[Variable]:
    """Return the environment variables of the draft, secrets as masks. Raises AppNotFound, DraftNotFound."""
    view = workflows.get_draft(runtime, session, principal, app_id)
    return [
        Variable(
            id=str(item["id"]),
            kind="env",
            node_id="env",
            name=str(item["name"]),
            value_type=str(item["value_type"]),
            value=item["value"],
            description=str(item["description"]),
        )
        for item in view.environment_variables
    ]


def get_variable(session: Session, principal: Principal, app_id: str, row_id: str) -> Variable:
    """Return one variable. Raises AppNotFound, DraftNotFound, NotFound."""
    scope = _scope(session, principal, app_id)
    return scope.shown(scope.find(row_id))


def update_variable(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    row_id: str,
    *,
    name: str | None,
    value: JSONValue,
) -> Variable:
    """Give a variable another name or value; None leaves what is there.

    Raises AppNotFound, DraftNotFound, NotFound, InvalidRequest for a value of
    another type, Duplicate for a name the node has already.
    """
    scope = _scope(session, principal, app_id)
    row = scope.stored(row_id)
    if name is not None and name != row.name:
        _rename(scope, row, name)
    if value is not None:
        row.value, kind = _checked(runtime, scope, principal, row, value)
        row.value_type = str(kind)
        row.is_edited = True
    row.updated_at = utc_now()
    session.flush()
    return scope.shown(row)


def reset_variable(runtime: Runtime, principal: Principal, app_id: str, row_id: str) -> Variable | None:
    """Make a variable what the run that left it left; None where there is none, and the variable is gone.

    That of a conversation is what conversations begin with. Raises
    AppNotFound, DraftNotFound, NotFound.
    """
    with runtime.reading() as session:
        scope = _scope(session, principal, app_id)
        execution_id = scope.find(row_id).execution_id
        left_by = _find_execution(scope, execution_id)
    given = {} if left_by is None else workflow_runs.with_values(runtime, left_by).outputs or {}
    with runtime.transaction() as session:
        scope = _scope(session, principal, app_id)
        row = scope.find(row_id)
        if row.node_id == CONVERSATION:
            _forget(scope, DraftVariable.id == row.id)
            return next((scope.shown(made) for made in scope.untouched() if made.id == row.id), None)
        if row.execution_id != execution_id:  # meanwhile a run has left it anew
            return scope.shown(row)
        name = f"{SYSTEM}.{row.name}" if row.node_id == SYSTEM else row.name
        if name not in given:
            _forget(scope, DraftVariable.id == row.id)
            return None
        row.value, row.is_edited, row.updated_at = given[name], False, utc_now()
        row.value_type = row.value_type if row.node_id == SYSTEM else str(type_of(given[name]))
        return scope.shown(row)


def delete_variable(session: Session, principal: Principal, app_id: str, row_id: str) -> None:
    """Forget one variable. Raises AppNotFound, DraftNotFound, NotFound."""
    scope = _scope(session, principal, app_id)
    _forget(scope, DraftVariable.id == scope.find(row_id).id)


def delete_variables(
    session: Session, principal: Principal, app_id: str, *, node_id: str | None = None
) -> None:
    """Forget all variables, or those of one node. Raises AppNotFound, DraftNotFound."""
    scope = _scope(session, principal, app_id)
    _forget(scope, *(() if node_id is None else (DraftVariable.node_id == node_id,)))


def load_pool(session: Session, principal: Principal, app_id: str) -> dict[str, JSONObject]:
    """Return all that is stored, by node, and what conversations begin with. Raises as the others do."""
    scope = _scope(session, principal, app_id)
    pool: dict[str, JSONObject] = {}
    stored = session.scalars(select(DraftVariable).where(*scope.where))
    for row in (*scope.untouched(), *stored):
        pool.setdefault(row.node_id, {})[row.name] = row.value
    return pool


def _scope(session: Session, principal: Principal, app_id: str) -> _Scope:
    app = access_flow_app(session, principal, app_id)
    draft = access_draft(session, app)
    declared = read_conversation(cast("JSONValue", draft.conversation_variables))
    return _Scope(session, principal.tenant_id, app.id, principal.id, {item.name: item for item in declared})


def _forget(scope: _Scope, *which: ColumnElement[bool]) -> None:
    scope.session.execute(delete(DraftVariable).where(*scope.where, *which))


def _rename(scope: _Scope, row: DraftVariable, name: str) -> None:
    """Rename a variable of a node; its id is that of its name."""
    if row.node_id in (SYSTEM, CONVERSATION):
        raise InvalidRequest("Only a node's variable can be renamed.", field="name")
    taken = f"The node has a variable {name!r} already."
    if any(other.name == name for other in scope.of_node(row.node_id)):
        raise Duplicate(taken, field="name")
    row.id, row.name = variable_id(scope.app_id, scope.account_id, row.node_id, name), name
    try:
        scope.session.flush()
    except IntegrityError as exc:  # another request was first
        raise Duplicate(taken, field="name") from exc


def _checked(
    runtime: Runtime, scope: _Scope, principal: Principal, row: DraftVariable, value: JSONValue
) -> tuple[JSONValue, ValueType]:
    """Return a value for a variable, with its type. Raises InvalidRequest for one of another type."""
    kind = ValueType(scope.shown(row).value_type)
    if kind in ANY_FILE:
        value = flow_files.from_client(runtime, scope.session, principal, value)
    if kind is ValueType.NONE:
        return value, type_of(value)
    if not accepts(kind, value):
        raise InvalidRequest(f"value: must be of type {kind}", field="value", fault="invalid_type")
    return value, kind


def _find_execution(scope: _Scope, execution_id: str | None) -> NodeExecution | None:
    """Return an execution that left a variable; None where it is not known any more."""
    query = select(NodeExecution).where(
        NodeExecution.tenant_id == scope.tenant_id,
        NodeExecution.app_id == scope.app_id,
        NodeExecution.id == execution_id,
    )
    return scope.session.scalars(query).one_or_none()
