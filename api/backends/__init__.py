"""Chooses the backends a configuration names, once, at start.

A backend is ``Backend`` in ``api.backends.<kind>.<name>``; a value with a colon
is a foreign ``module:Class``. Nothing is imported that was not chosen.
"""

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

import api
from api import __version__
from api.backends.board import DirectoryBoard
from api.backends.extraction import Backend as ExtractionBackend
from api.backends.mail import Backend as MailBackend
from api.backends.offload import Backend as OffloadBackend
from api.backends.plugins.process import Backend as PluginsBackend
from api.backends.secret import root_secret
from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.plugins.index import DirectoryIndex, PluginIndex, WebIndex
from api.core.vault import Vault
from api.core.workflow.deps import FlowLimits
from api.metrics import Board, Metrics
from api.runtime import Limits, Runtime, Window
from api.settings import Settings, SettingsError
from api.traces import NO_TRACER, Tracer

MB = 1024 * 1024
OWN_PLUGINS = Path(api.__file__).resolve().parents[1] / "plugins"


def make_data_dir(settings: Settings) -> None:
    """Make the directory of everything embedded, its owner's alone; raises SettingsError where that fails."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(f"DATA_DIR={settings.data_dir} cannot be used: {exc.strerror}.") from exc


def build_runtime(settings: Settings, session_factory: sessionmaker[Session]) -> Runtime:
    """Return the runtime a configuration asks for; raises SettingsError where it cannot be had."""
    may_be_private = settings.provider_private_network == "allow"
    timeouts = Timeouts(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_token_timeout_s,
        idle_s=settings.idle_timeout_s,
    )
    offload = OffloadBackend.from_settings(settings)
    http = HTTPClient(_policy(settings, allow_private=False), timeouts)
    metrics = Metrics()
    return Runtime(
        session_factory=session_factory,
        storage=load("storage", settings.storage).from_settings(settings),
        cache=load("cache", settings.effective_cache).from_settings(settings),
        channel=load("channel", settings.effective_channel).from_settings(settings),
        keywords=load("keywords", _dialect(session_factory)).from_settings(
            settings, sessions=session_factory, offload=offload
        ),
        queue=load("queue", settings.queue).from_settings(settings),
        offload=offload,
        extractor=ExtractionBackend.from_settings(settings),
        sandbox=load("sandbox", settings.sandbox).from_settings(settings),
        vectors=load("vectors", settings.vectors).from_settings(
            settings, sessions=session_factory, offload=offload
        ),
        vault=Vault(root_secret(settings)),
        http=http,
        provider_http=HTTPClient(_policy(settings, allow_private=may_be_private), timeouts),
        plugin_index=_plugin_index(settings, http, offload),
        plugins=PluginsBackend.from_settings(settings, offload=offload),
        limits=to_limits(settings),
        mailer=MailBackend.from_settings(settings),
        metrics=metrics,
        tracer=_tracer(settings, metrics),
        board=_board(settings),
    )


def _tracer(settings: Settings, metrics: Metrics) -> Tracer:
    """Return what traces; its library is an extra, and is imported only here."""
    if not settings.is_traced:
        return NO_TRACER
    try:
        module = import_module("api.backends.tracing.otel")
    except ModuleNotFoundError:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs the extra otel (pip install -r requirements/otel.lock), "
            "unless OTEL_SDK_DISABLED=true."
        ) from None
    tracer: Tracer = module.Backend.from_settings(settings, dropped=partial(metrics.count, "dropped_spans"))
    return tracer


def _board(settings: Settings) -> Board | None:
    """Return where processes tell their figures, None where there is but one."""
    if settings.workers == 1 and settings.queue == "in_process":
        return None
    return DirectoryBoard(settings.data_dir.absolute() / "metrics")


def _dialect(sessions: sessionmaker[Session]) -> str:
    """Return the database's kind as its full-text index is named: postgres or sqlite."""
    dialect: str = sessions.kw["bind"].dialect.name
    return {"postgresql": "postgres"}.get(dialect, dialect)


def _plugin_index(settings: Settings, http: HTTPClient, offload: OffloadBackend) -> PluginIndex:
    if "://" in settings.plugin_index:
        return WebIndex(settings.plugin_index, http, offload)
    root = Path(settings.plugin_index) if settings.plugin_index else OWN_PLUGINS
    return DirectoryIndex(root, offload, settings.plugin_public_key, is_own=root == OWN_PLUGINS)


def _policy(settings: Settings, *, allow_private: bool) -> EgressPolicy:
    try:
        return EgressPolicy.parse(settings.egress_allow, allow_private=allow_private)
    except ValueError as exc:
        raise SettingsError(str(exc)) from exc


def load(kind: str, name: str) -> Any:
    """Return the backend class of a kind; raises SettingsError naming the setting for an unknown one."""
    module, _, attribute = name.partition(":")
    path = module if attribute else f"api.backends.{kind}.{name}"
    try:
        return getattr(import_module(path), attribute or "Backend")
    except (ModuleNotFoundError, AttributeError) as exc:
        raise SettingsError(f"{kind.upper()}={name} names no known backend.") from exc


def to_limits(settings: Settings) -> Limits:
    """Return the policy numbers of a configuration."""
    enterprise = (
        (settings.enterprise_rpm, 60),
        (settings.enterprise_rph, 3600),
        (settings.enterprise_rpd, 86400),
    )
    max_file_bytes = {
        "image": settings.image_max_mb * MB,
        "document": settings.document_max_mb * MB,
        "audio": settings.audio_max_mb * MB,
        "video": settings.video_max_mb * MB,
    }
    return Limits(
        version=__version__,
        deploy_env=settings.deploy_env,
        public_url=settings.public_url,
        console_web_url=settings.console_web_url,
        default_plan=settings.default_plan,
        is_app_name_unique=settings.app_name_unique == "on",
        are_rate_limits_on=settings.rate_limits == "on",
        enterprise_windows=tuple(Window(limit=limit, seconds=seconds) for limit, seconds in enterprise),
        visitor_rpm=settings.visitor_rpm,
        console_rpm=settings.console_rpm,
        max_active_requests=settings.max_active_requests,
        key_max_active_requests=settings.key_max_active_requests,
        workspace_max_active_requests=settings.workspace_max_active_requests,
        max_json_bytes=settings.max_json_mb * MB,
        max_file_bytes=max_file_bytes,
        max_segment_tokens=settings.indexing_max_segmentation_tokens_length,
        files_url_ttl_s=settings.files_url_ttl_s,
        access_ttl_s=settings.access_ttl_s,
        refresh_ttl_s=settings.refresh_ttl_s,
        login_max_failures=settings.login_max_failures,
        login_lock_s=settings.login_lock_s,
        connect_timeout_s=settings.connect_timeout_s,
        first_token_timeout_s=settings.first_token_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        run_timeout_s=settings.run_timeout_s,
        speech_timeout_s=settings.speech_timeout_s,
        ping_interval_s=settings.ping_interval_s,
        graceful_timeout_s=settings.graceful_timeout_s,
        job_lease_s=settings.job_lease_s,
        job_turn_s=settings.job_turn_s,
        plugin_public_key=settings.plugin_public_key,
        provider_id_style=settings.model_provider_id_style,
        workflow_log_retention_days=settings.workflow_log_retention_days,
        flow=FlowLimits(
            max_steps=settings.workflow_max_execution_steps,
            max_threads=settings.workflow_max_threads,
            max_variable_bytes=settings.max_variable_mb * MB,
            max_loop_rounds=settings.loop_node_max_count,
            max_call_depth=settings.workflow_call_max_depth,
            http_upload_bytes=max(max_file_bytes.values()),  # any one file, however large, may be sent on
        ),
        cookie_domain=settings.cookie_domain,
        notion_api_url=settings.notion_api_url,
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else "",
        admin_api_key=settings.admin_api_key.get_secret_value() if settings.admin_api_key else "",
    )
