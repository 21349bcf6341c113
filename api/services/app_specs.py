"""From an app's rows to the spec its runs are given."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.orm import Session

from api.core.apps.config import ModelConfig, load_model_config
from api.core.apps.spec import AnnotationChoice, AppMode, AppSpec
from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject
from api.models.account import Tenant
from api.models.annotation import AnnotationSetting
from api.models.app import App, AppModelConfig
from api.runtime import Runtime
from api.services.access import AppNotFound

COLUMNS = (
    App.id.label("app_id"),
    App.tenant_id,
    App.name,
    App.mode,
    App.api_rpm,
    App.api_rph,
    App.max_active_requests,
    App.workflow_id,
    Tenant.plan,
    Tenant.providers_version,
    AppModelConfig.id.label("config_id"),
    AppModelConfig.config,
    AnnotationSetting.id.label("annotation_setting_id"),
    AnnotationSetting.is_enabled.label("is_annotation_reply_on"),
    AnnotationSetting.score_threshold,
    AnnotationSetting.embedding_provider,
    AnnotationSetting.embedding_model,
    AnnotationSetting.collection_id,
)
"""What ``to_spec`` reads of a row that joins app, workspace, configuration in use and annotation setting."""


_QUERY: Select[*tuple[Any, ...]] = select(*COLUMNS)
_SPEC = (
    _QUERY.select_from(App)
    .join(Tenant, Tenant.id == App.tenant_id)
    .outerjoin(AppModelConfig, AppModelConfig.id == App.app_model_config_id)
    .outerjoin(AnnotationSetting, AnnotationSetting.app_id == App.id)
    .where(App.tenant_id == bindparam("of_tenant"), App.id == bindparam("app_key"))
)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """Key under which a process keeps a parsed configuration; rows of that table never change."""

    config_id: str


def load_spec(runtime: Runtime, session: Session, tenant_id: str, app_id: str) -> AppSpec:
    """Return the spec of a workspace's app, for work that no key started; raises AppNotFound."""
    row = session.execute(_SPEC, {"of_tenant": tenant_id, "app_key": app_id}).one_or_none()
    if row is None:
        raise AppNotFound("App not found.")
    return to_spec(runtime, row)


def to_spec(runtime: Runtime, row: Row[Any]) -> AppSpec:
    """Return the spec of a row that holds COLUMNS."""
    return AppSpec(
        id=row.app_id,
        tenant_id=row.tenant_id,
        name=row.name,
        mode=AppMode(row.mode),
        api_rpm=row.api_rpm,
        api_rph=row.api_rph,
        max_active_requests=row.max_active_requests or 0,
        plan=row.plan,
        providers_version=row.providers_version,
        config_id=row.config_id,
        config=_parsed(runtime, row.config_id, row.config),
        workflow_id=row.workflow_id,
        annotations=_annotations(row),
    )


def _annotations(row: Row[Any]) -> AnnotationChoice | None:
    if not row.is_annotation_reply_on:
        return None
    return AnnotationChoice(
        setting_id=row.annotation_setting_id,
        collection_id=row.collection_id,
        score_threshold=row.score_threshold,
        embedding=ModelRef(row.embedding_provider, row.embedding_model),
    )


def _parsed(runtime: Runtime, config_id: str | None, raw: JSONObject | None) -> ModelConfig | None:
    if config_id is None or raw is None:
        return None
    config: ModelConfig | None = runtime.memory.get(ConfigKey(config_id))
    if config is None:
        config = load_model_config(raw)
        runtime.memory.put(ConfigKey(config_id), config)
    return config
