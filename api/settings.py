"""Every setting, once: the only reader of the environment and of ``.env``.

A start with an unknown name in ``.env``, a bad value or a contradictory pair is
refused with one sentence (:class:`SettingsError`). Values stop at the
composition root: policy numbers travel on in ``runtime.limits``.
``.env.example`` is generated from the fields below (``make env``).
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.setting_forms import broken_line, is_http_url, is_key, is_redis_url

OnOff = Literal["on", "off"]
Plan = Literal["sandbox", "professional", "team", "enterprise"]


class SettingsError(Exception):
    """The configuration cannot be used; the message is one sentence for the operator."""


class Settings(BaseSettings):
    """The configuration of one installation. Defaults are the embedded program."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="forbid", frozen=True
    )

    # Serving
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5001, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Serving processes; 1 with QUEUE=in_process. "
        "Several programs of one process each may share a PostgreSQL and a Redis.",
    )
    worker_connections: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="Connections a process serves at once; once nine tenths are taken, a workspace gets no "
        "more than twice its share.",
    )
    data_dir: Path = Field(
        Path(".data"), description="Where everything embedded lives: database, files, secrets."
    )
    secret_key: SecretStr | None = Field(
        None, description="Root secret, at least 32 characters. Generated into DATA_DIR when empty."
    )
    public_url: str = Field(
        "", description="Base URL clients reach this server at; empty: taken from each request."
    )
    proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="How many proxies of yours stand before it; their X-Forwarded-* headers are believed.",
    )
    graceful_timeout_s: int = Field(
        30,
        ge=6,
        le=3600,
        description="How long a stop may take. Runs that last longer end with an error 5 s before.",
    )
    deploy_env: str = Field("PRODUCTION", description="Name of this installation, sent as X-Env.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level logged.")
    log_format: Literal["json", "text"] = Field("json", description="Shape of a log line.")

    metrics_token: SecretStr | None = Field(
        None, description="Bearer token of GET /metrics; empty: only this machine itself may read it."
    )
    admin_api_key: SecretStr | None = Field(
        None, min_length=16, description="Bearer key of GET /console/api/all-workspaces; empty: nobody's."
    )

    # Traces
    otel_exporter_otlp_endpoint: str = Field(
        "",
        description="Where a collector takes traces by OTLP over HTTP, like http://host:4318; empty: nothing "
        "is traced. Needs the extra otel.",
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers the collector wants, name=value, comma separated and percent-encoded."
    )
    otel_service_name: str = Field("slipway", min_length=1, description="What this program is called there.")
    otel_traces_sampler_arg: float = Field(
        1.0, ge=0, le=1, description="Share of traces that are kept; where the caller traces, it decides."
    )
    otel_sdk_disabled: bool = Field(
        default=False, description="true: nothing is traced, whatever else is set."
    )

    # First start
    demo: bool = Field(
        default=False,
        description="On an empty database make an owner, a demo app and its key (true under make run).",
    )
    owner_email: str = Field("owner@example.com", description="E-mail of the owner made by the first start.")
    owner_password: SecretStr | None = Field(
        None, description="Password of that owner; generated and printed once when empty."
    )
    default_plan: Plan = Field("enterprise", description="Plan of new workspaces.")
    app_name_unique: OnOff = Field("on", description="Refuse two apps of one name in a workspace.")

    # Backends
    database_url: str = Field(
        "",
        description="sqlite:///… or postgresql://…; empty: SQLite in DATA_DIR.",
        examples=["postgresql://u@h/db"],
    )
    database_pool_size: int = Field(10, ge=1, le=500, description="Database connections a process may hold.")
    redis_url: str = Field("", description="redis://…, needed by CHANNEL and CACHE redis.")
    broker_url: str = Field(
        "", description="redis://… or amqp://… (RabbitMQ) for QUEUE=celery; empty: REDIS_URL."
    )
    storage: str = Field(
        "local", description="Where files are kept: local, s3, or a module path with a colon."
    )
    s3_bucket: str = Field("", description="Bucket of the files, needed by STORAGE=s3.")
    s3_prefix: str = Field("", description="What their keys in the bucket begin with.")
    s3_endpoint_url: str = Field("", description="https://host of what speaks like S3; empty: that of AWS.")
    s3_region: str = Field("", description="Region of the bucket; empty: that of the machine.")
    s3_access_key_id: str = Field("", description="Key of the bucket; empty: that of the machine.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret of that key.")
    vectors: str = Field(
        "local",
        description="Where vectors are kept: local (the database, searched in memory), pgvector, weaviate, "
        "or a module path with a colon.",
    )
    vectors_cache_mb: int = Field(
        512, ge=16, le=65536, description="Memory a process may use to search vectors; VECTORS=local."
    )
    keywords_cache_mb: int = Field(
        256,
        ge=0,
        le=65536,
        description="Memory a process may use to search words; more is searched in the database.",
    )
    weaviate_url: str = Field("", description="http://host:port, needed by VECTORS=weaviate.")
    weaviate_grpc_port: int = Field(
        50051, ge=1, le=65535, description="Port of Weaviate's gRPC on the host of WEAVIATE_URL."
    )
    weaviate_api_key: SecretStr | None = Field(
        None, description="Key of that Weaviate; empty: it asks for none."
    )
    queue: Literal["in_process", "celery"] = Field(
        "in_process",
        description="What runs background jobs: in_process, or celery (workers and beat of their own).",
    )
    job_lease_s: float = Field(
        60.0, ge=1, le=3600, description="How long a job of a dead worker waits until another takes it over."
    )
    job_turn_s: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="How long a job may go on while one of a workspace waits that has fewer jobs running.",
    )
    channel: str = Field(
        "", description="What carries event logs: memory or redis; empty: redis if REDIS_URL is set."
    )
    cache: str = Field(
        "", description="What keeps counters: memory or redis; empty: redis if REDIS_URL is set."
    )
    sandbox: Literal["monty", "bubblewrap", "http"] = Field(
        "monty",
        description="What runs code of workflows: monty (a part of Python, and JavaScript), bubblewrap "
        "(full CPython; needs bwrap), http (Dify's sandbox service).",
    )
    code_execution_endpoint: str = Field("", description="http://host:port, needed by SANDBOX=http.")
    code_execution_api_key: SecretStr | None = Field(None, description="Key of that sandbox service.")

    # Plugins
    plugin_index: str = Field(
        "",
        description="Directory of plugins to install, or the address of its index.json; empty: those that "
        "come with the program.",
    )
    plugin_public_key: str = Field(
        "",
        description="Ed25519 key (base64) plugins must be signed with; empty: signatures are not asked for.",
    )
    plugin_isolation: Literal["required", "preferred"] = Field(
        "required",
        description="Whether plugins run where the machine cannot take files and network from them: required "
        "(they do not), or preferred (they do, trusted as the server is).",
    )
    plugin_memory_mb: int = Field(
        256, ge=128, le=65536, description="Most memory one process of a plugin may take."
    )
    plugin_processes: int = Field(
        16,
        ge=1,
        le=256,
        description="Calls of plugins one process has at once, three quarters of them of one workspace at "
        "most; others wait for their turn.",
    )

    # Limits
    rate_limits: OnOff = Field("on", description="Enforce the rate limits of plans, apps and accounts.")
    enterprise_rpm: int = Field(
        6000, ge=0, description="Public API calls a minute on the enterprise plan; 0: no limit."
    )
    enterprise_rph: int = Field(0, ge=0, description="The same an hour; 0: no limit.")
    enterprise_rpd: int = Field(0, ge=0, description="The same a day; 0: no limit.")
    visitor_rpm: int = Field(
        600, ge=0, description="Calls a minute of one address that open apps' pages; 0: no limit."
    )
    console_rpm: int = Field(600, ge=0, description="Console calls a minute for one account; 0: no limit.")
    max_active_requests: int = Field(0, ge=0, description="Runs one app may have at once; 0: no limit.")
    key_max_active_requests: int = Field(0, ge=0, description="The same for one API key; 0: no limit.")
    workspace_max_active_requests: int = Field(
        0, ge=0, description="The same for all apps of a workspace; 0: no limit."
    )
    max_json_mb: int = Field(10, ge=1, le=1024, description="Largest JSON body.")
    image_max_mb: int = Field(15, ge=1, le=10240, description="Largest image upload.")
    document_max_mb: int = Field(100, ge=1, le=10240, description="Largest document upload.")
    audio_max_mb: int = Field(50, ge=1, le=10240, description="Largest audio upload.")
    video_max_mb: int = Field(100, ge=1, le=10240, description="Largest video upload.")
    extract_timeout_s: int = Field(
        60, ge=1, le=3600, description="Longest time, on the clock and of CPU, to read one document."
    )
    extract_memory_mb: int = Field(512, ge=128, le=65536, description="Most memory to read one document.")
    extract_parallel: int = Field(
        4, ge=1, le=256, description="Documents one process reads at once; others wait for their turn."
    )
    sandbox_memory_mb: int = Field(256, ge=64, le=65536, description="Most memory one run of code may take.")
    sandbox_parallel: int = Field(
        8, ge=1, le=256, description="Runs of code one process has at once; others wait for their turn."
    )
    indexing_max_segmentation_tokens_length: int = Field(
        4000, ge=50, le=100_000, description="Most tokens a process rule may give a segment."
    )
    files_url_ttl_s: int = Field(300, ge=1, le=86400, description="How long a signed file URL works.")

    # Sessions
    access_ttl_s: int = Field(3600, ge=1, le=3600, description="Life of a console access token.")
    refresh_ttl_s: int = Field(2_592_000, ge=60, description="Life of a console refresh token.")
    login_max_failures: int = Field(10, ge=1, le=10, description="Failed logins before a lock.")
    login_lock_s: int = Field(900, ge=1, le=900, description="How long that lock holds.")

    # Mail
    smtp_host: str = Field(
        "",
        description="Mail server for invitations and codes; empty: no mail is sent, who invites gets links.",
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of that mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to it is encrypted."
    )
    smtp_username: str = Field("", description="Name to sign in to it with; empty: without signing in.")
    smtp_password: SecretStr | None = Field(None, description="Password for that name.")
    mail_from: str = Field("", description="Sender of the mail, needed with SMTP_HOST.")
    console_web_url: str = Field(
        "", description="Base URL of the web console, where links of invitations lead; empty: this server."
    )

    # Outbound
    egress_allow: str = Field(
        "", description="Private targets outbound calls may reach: host:port or CIDR, comma separated."
    )
    provider_private_network: Literal["allow", "deny"] = Field(
        "allow", description="Whether endpoints of model providers may be on loopback or a private network."
    )
    notion_api_url: str = Field(
        "https://api.notion.com/v1",
        description="Where Notion's API answers; another where a proxy of yours stands before it.",
    )
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="Longest wait for an outbound connection.")
    first_token_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="Longest wait for a model's first token."
    )
    idle_timeout_s: float = Field(60.0, gt=0, le=3600, description="Longest pause inside a model's stream.")
    model_provider_id_style: Literal["long", "short"] = Field(
        "long", description="Ids of model providers in answers: langgenius/openai/openai, or openai."
    )
    run_timeout_s: float = Field(1200.0, gt=0, le=86400, description="Longest run in all.")
    speech_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="How long an answer may still be read aloud after its end."
    )
    workflow_max_execution_steps: int = Field(
        500, ge=1, le=100_000, description="Most nodes one run of a workflow runs, rounds of loops included."
    )
    workflow_call_max_depth: int = Field(
        5, ge=1, le=20, description="How deep workflows may call each other as tools."
    )
    workflow_max_threads: int = Field(
        10, ge=1, le=100, description="How many nodes of one run may work at the same time."
    )
    max_variable_mb: int = Field(10, ge=1, le=1024, description="Largest value of a workflow's variable.")
    loop_node_max_count: int = Field(100, ge=1, le=100_000, description="Most rounds of one loop.")
    workflow_log_retention_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="Days runs of workflows are kept, with what their nodes did; 0: for ever.",
    )
    ping_interval_s: float = Field(
        9.0, gt=0, le=10, description="Pause after which an open stream gets a ping."
    )

    # Browsers
    console_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Exact origins, comma separated, that may call the console with credentials."
    )
    api_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",), description="Origins, comma separated, that may call the public API (without credentials)."
    )
    cookie_domain: str = Field("", description="Domain of the console's cookies; empty: the host itself.")

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, raw: dict[str, object]) -> dict[str, object]:
        for name in ("console_cors_origins", "api_cors_origins"):
            value = raw.get(name)
            if isinstance(value, str):
                raw[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        return raw

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.secret_key is not None and len(self.secret_key.get_secret_value()) < 32:
            raise ValueError("SECRET_KEY must have at least 32 characters")
        if not self.effective_database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("DATABASE_URL must begin with sqlite:/// or postgresql://")
        for name, value in (("CHANNEL", self.effective_channel), ("CACHE", self.effective_cache)):
            if value == "redis" and not self.redis_url:
                raise ValueError(f"{name}=redis needs REDIS_URL")
            if value == "memory" and self.workers > 1:
                raise ValueError(f"WORKERS={self.workers} needs {name}=redis, because memory is not shared")
        if self.workers > 1 and self.queue == "in_process":
            raise ValueError(f"WORKERS={self.workers} cannot share QUEUE=in_process; serve with WORKERS=1")
        if "*" in self.console_cors_origins:
            raise ValueError("CONSOLE_CORS_ORIGINS must name exact origins, never *")
        return self

    @model_validator(mode="after")
    def _check_vectors(self) -> Self:
        if self.vectors == "pgvector" and self.effective_database_url.startswith("sqlite"):
            raise ValueError("VECTORS=pgvector needs a PostgreSQL as DATABASE_URL")
        if self.vectors == "weaviate" and not self.weaviate_url:
            raise ValueError("VECTORS=weaviate needs WEAVIATE_URL")
        if self.weaviate_url and not is_http_url(self.weaviate_url):
            raise ValueError("WEAVIATE_URL must have the form http://host:port")
        return self

    @model_validator(mode="after")
    def _check_storage(self) -> Self:
        if self.storage == "s3" and not self.s3_bucket:
            raise ValueError("STORAGE=s3 needs S3_BUCKET")
        if self.s3_endpoint_url and not is_http_url(self.s3_endpoint_url):
            raise ValueError("S3_ENDPOINT_URL must have the form https://host:port")
        if bool(self.s3_access_key_id) != (self.s3_secret_access_key is not None):
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY go together")
        return self

    @model_validator(mode="after")
    def _check_sandbox(self) -> Self:
        if self.sandbox == "http" and not self.code_execution_endpoint:
            raise ValueError("SANDBOX=http needs CODE_EXECUTION_ENDPOINT")
        if self.code_execution_endpoint and not is_http_url(self.code_execution_endpoint):
            raise ValueError("CODE_EXECUTION_ENDPOINT must have the form http://host:port")
        return self

    @model_validator(mode="after")
    def _check_plugins(self) -> Self:
        is_address = "://" in self.plugin_index
        if is_address and not is_http_url(self.plugin_index):
            raise ValueError("PLUGIN_INDEX must be a directory or begin with https:// or http://")
        if self.plugin_index and not is_address and not Path(self.plugin_index).is_dir():
            raise ValueError(f"PLUGIN_INDEX={self.plugin_index} is no directory")
        if self.plugin_public_key and not is_key(self.plugin_public_key):
            raise ValueError("PLUGIN_PUBLIC_KEY must be the 32 bytes of an Ed25519 key in base64")
        return self

    @model_validator(mode="after")
    def _check_queue(self) -> Self:
        if self.queue == "in_process" and self.broker_url:
            raise ValueError("BROKER_URL needs QUEUE=celery, because QUEUE=in_process has no broker")
        if self.queue != "celery":
            return self
        if not self.effective_broker_url:
            raise ValueError("QUEUE=celery needs BROKER_URL or REDIS_URL")
        if not self.effective_broker_url.startswith(("redis://", "rediss://", "amqp://", "amqps://")):
            raise ValueError("BROKER_URL must begin with redis:// or amqp://")
        for name, value in (("CHANNEL", self.effective_channel), ("CACHE", self.effective_cache)):
            if value == "memory":
                raise ValueError(f"QUEUE=celery needs {name}=redis, because workers share no memory")
        return self

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.smtp_host and not self.mail_from:
            raise ValueError("SMTP_HOST needs MAIL_FROM")
        if self.smtp_host and not (self.console_web_url or self.public_url):
            raise ValueError("SMTP_HOST needs CONSOLE_WEB_URL or PUBLIC_URL, for the links in its mail")
        if self.mail_from and not re.fullmatch(r"[^@\r\n]+@[^@\r\n]+", self.mail_from.strip()):
            raise ValueError(f"MAIL_FROM={self.mail_from} is not an e-mail address")
        if self.console_web_url and not is_http_url(self.console_web_url):
            raise ValueError("CONSOLE_WEB_URL must begin with https:// or http://")
        return self

    @model_validator(mode="after")
    def _check_tracing(self) -> Self:
        if self.otel_exporter_otlp_endpoint and not is_http_url(self.otel_exporter_otlp_endpoint):
            raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT must have the form http://host:port")
        if any(not name for name in self.otlp_headers):
            raise ValueError("OTEL_EXPORTER_OTLP_HEADERS must have the form name=value,name=value")
        return self

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.redis_url and not is_redis_url(self.redis_url):
            raise ValueError("REDIS_URL must have the form redis://host:port/number")
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", self.owner_email.strip()):
            raise ValueError(f"OWNER_EMAIL={self.owner_email} is not an e-mail address")
        if self.public_url and not is_http_url(self.public_url):
            raise ValueError("PUBLIC_URL must begin with https:// or http://")
        if not is_http_url(self.notion_api_url):
            raise ValueError("NOTION_API_URL must begin with https:// or http://")
        return self

    @property
    def effective_database_url(self) -> str:
        """The database URL with its driver: SQLite in DATA_DIR when none is set."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir.absolute() / 'slipway.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url

    @property
    def is_traced(self) -> bool:
        """Whether there is a collector to send traces to."""
        return bool(self.otel_exporter_otlp_endpoint) and not self.otel_sdk_disabled

    @property
    def otlp_headers(self) -> dict[str, str]:
        """OTEL_EXPORTER_OTLP_HEADERS by their names; what is no pair has none."""
        sent = self.otel_exporter_otlp_headers
        pairs = [part for part in (sent.get_secret_value() if sent else "").split(",") if part.strip()]
        split = [pair.partition("=") if "=" in pair else ("", "", "") for pair in pairs]
        return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in split}

    @property
    def effective_broker_url(self) -> str:
        """BROKER_URL, or REDIS_URL when it is empty."""
        return self.broker_url or self.redis_url

    @property
    def effective_channel(self) -> str:
        """CHANNEL, chosen by REDIS_URL when it is empty."""
        return self.channel or ("redis" if self.redis_url else "memory")

    @property
    def effective_cache(self) -> str:
        """CACHE, chosen by REDIS_URL when it is empty."""
        return self.cache or ("redis" if self.redis_url else "memory")


def load_settings(env_file: str | None = ".env") -> Settings:
    """Read the settings; raises SettingsError with one sentence that names the setting at fault."""
    env_file = env_file if env_file and Path(env_file).exists() else None
    try:
        if env_file and (number := broken_line(Path(env_file))) is not None:
            raise SettingsError(f"Line {number} of {env_file} must have the form NAME=value.")
        return Settings(_env_file=env_file)
    except (OSError, UnicodeError) as exc:
        raise SettingsError(f"{env_file} cannot be read: {exc}.") from None
    except ValidationError as exc:
        fault = exc.errors()[0]
        name = ".".join(str(part) for part in fault["loc"]).upper()
        if fault["type"] == "extra_forbidden":
            raise SettingsError(
                f"{name} in {env_file} is not a setting; see .env.example for the names."
            ) from None
        message = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}." if name else f"{message}.") from None
