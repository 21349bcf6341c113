"""The variables a test leaves to the account that made it, as rows."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from api.core.events import RunHeader
from api.core.ports import JSONValue
from api.core.workflow.variables import (
    CHAT_TYPES,
    ENVIRONMENT,
    SYSTEM,
    SYSTEM_TYPES,
    ValueType,
    VariablePool,
    type_of,
)
from api.models.base import utc_now
from api.models.types import insert_for
from api.models.workflow import DraftVariable

IDS = uuid.UUID("6f9d1f0e-6d53-4d2b-9d34-2f0f6a1b7c58")
OVERWRITTEN = ("value", "value_type", "is_edited", "execution_id", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What a test leaves: the variables of its pool, or ``only`` those of some nodes."""

    variables: VariablePool
    only: frozenset[str] | None = None

    def store(self, session: Session, header: RunHeader, executions: Mapping[str, str]) -> None:
        """Store the variables as they are now, for whoever made the run, in two statements.

        ``executions`` name what gave them, by node. Of these nodes, what was there before is gone.
        """
        now = utc_now()
        # In one order, so that two tests of an account that end at once wait for each other.
        rows = sorted(self._rows(header, executions, now), key=lambda row: str(row["id"]))
        if not rows:
            return
        insert = insert_for(session)(DraftVariable)
        upsert = insert.on_conflict_do_update(
            index_elements=["id"], set_={name: insert.excluded[name] for name in OVERWRITTEN}
        )
        session.connection().execute(upsert, rows)
        session.execute(
            delete(DraftVariable).where(
                DraftVariable.tenant_id == header.tenant_id,
                DraftVariable.app_id == header.app_id,
                DraftVariable.account_id == header.principal_id,
                DraftVariable.node_id.in_({row["node_id"] for row in rows}),
                DraftVariable.updated_at < now,
            )
        )

    def _rows(
        self, header: RunHeader, executions: Mapping[str, str], now: datetime
    ) -> Iterator[dict[str, Any]]:
        for node_id, held in self.variables.held().items():
            if node_id == ENVIRONMENT or (self.only is not None and node_id not in self.only):
                continue
            for name, value in held.items():
                if "." in name:  # a start node repeats the system variables so
                    continue
                yield {
                    "id": variable_id(header.app_id, header.principal_id, node_id, name),
                    "tenant_id": header.tenant_id,
                    "app_id": header.app_id,
                    "account_id": header.principal_id,
                    "node_id": node_id,
                    "name": name,
                    "value": self.variables.masked(value),
                    "value_type": str(_type(node_id, name, value)),
                    "is_edited": False,
                    "execution_id": executions.get(node_id),
                    "created_at": now,
                    "updated_at": now,
                }


def variable_id(app_id: str, account_id: str, node_id: str, name: str) -> str:
    """Return the id of an account's variable; it has one before anything is stored of it."""
    return str(uuid.uuid5(IDS, f"{app_id}/{account_id}/{node_id}/{name}"))


def _type(node_id: str, name: str, value: JSONValue) -> ValueType:
    declared = (SYSTEM_TYPES.get(name) or CHAT_TYPES.get(name)) if node_id == SYSTEM else None
    return declared or type_of(value)
