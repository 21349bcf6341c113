"""The configuration, and how a bad one is refused."""

import sys
from pathlib import Path

import pytest

from api.app_factory import create_app
from api.backends import to_limits
from api.queue_factory import create_worker
from api.settings import Settings, SettingsError, load_settings
from api.traces import NO_TRACER
from tests.conftest import make_settings


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("NO_SUCH_SETTING=1", "NO_SUCH_SETTING in"),
        ("PORT=abc", "PORT: "),
        ("PORT=99999", "PORT: "),
        ("DEFAULT_PLAN=gold", "DEFAULT_PLAN: "),
        ("WORKERS=2", "WORKERS=2 needs CHANNEL=redis, because memory is not shared."),
        ("CHANNEL=redis", "CHANNEL=redis needs REDIS_URL."),
        ("SECRET_KEY=short", "SECRET_KEY must have at least 32 characters."),
        ("DATABASE_URL=mysql://x/y", "DATABASE_URL must begin with sqlite:/// or postgresql://."),
        ("CONSOLE_CORS_ORIGINS=*", "CONSOLE_CORS_ORIGINS must name exact origins, never *."),
        ("RATE_LIMITS=maybe", "RATE_LIMITS: "),
        ("REDIS_URL=foo", "REDIS_URL must have the form redis://host:port/number."),
        ("REDIS_URL=redis://host:port/0", "REDIS_URL must have the form redis://host:port/number."),
        ("QUEUE=celery", "QUEUE=celery needs BROKER_URL or REDIS_URL."),
        (
            "BROKER_URL=redis://h/0",
            "BROKER_URL needs QUEUE=celery, because QUEUE=in_process has no broker.",
        ),
        ("QUEUE=celery\nBROKER_URL=kafka://h", "BROKER_URL must begin with redis:// or amqp://."),
        (
            "QUEUE=celery\nBROKER_URL=amqp://h",
            "QUEUE=celery needs CHANNEL=redis, because workers share no memory.",
        ),
        ("VECTORS=pgvector", "VECTORS=pgvector needs a PostgreSQL as DATABASE_URL."),
        ("VECTORS=weaviate", "VECTORS=weaviate needs WEAVIATE_URL."),
        ("SANDBOX=http", "SANDBOX=http needs CODE_EXECUTION_ENDPOINT."),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318",
            "OTEL_EXPORTER_OTLP_ENDPOINT must have the form http://host:port.",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS=key", "OTEL_EXPORTER_OTLP_HEADERS must have the form name=value"),
        ("NOTION_API_URL=notion.example", "NOTION_API_URL must begin with https:// or http://."),
        ("WEAVIATE_URL=weaviate:8080", "WEAVIATE_URL must have the form http://host:port."),
        ("SMTP_HOST=mail.example", "SMTP_HOST needs MAIL_FROM."),
        ("SMTP_HOST=m\nMAIL_FROM=a@b.c", "SMTP_HOST needs CONSOLE_WEB_URL or PUBLIC_URL"),
        ("MAIL_FROM=nobody", "MAIL_FROM=nobody is not an e-mail address."),
        ("CONSOLE_WEB_URL=console", "CONSOLE_WEB_URL must begin with https:// or http://."),
        ("PUBLIC_URL=slipway.example", "PUBLIC_URL must begin with https:// or http://."),
        ("PORT=5001\nDATA DIR=/x", "Line 2 of"),
        ("# a comment\n\nHOST", "Line 3 of"),
        ("OWNER_EMAIL=bad", "OWNER_EMAIL=bad is not an e-mail address."),
    ],
)
def test_bad_setting_is_refused_with_one_sentence_that_names_it(
    tmp_path: Path, line: str, sentence: str
) -> None:
    env = tmp_path / ".env"
    env.write_text(line + "\n")

    with pytest.raises(SettingsError) as caught:
        load_settings(str(env))

    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_bytes(b"HOST=\xff\n")

    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(str(env))


def test_lists_are_comma_separated(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("CONSOLE_CORS_ORIGINS=https://a.example, https://b.example\n")

    assert load_settings(str(env)).console_cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"storage": "nowhere"}, "STORAGE=nowhere names no known backend."),
        ({"vectors": "nowhere"}, "VECTORS=nowhere names no known backend."),
        ({"egress_allow": "nonsense"}, "^EGRESS_ALLOW: 'nonsense' is neither"),
        (
            {"database_url": "postgresql://u:secret@host:port/x"},
            "^DATABASE_URL must have the form [^@]*@host:port",
        ),
        ({"secret_key": "a" * 40}, "SECRET_KEY is a known or trivial value"),
    ],
)
def test_program_refuses_what_it_cannot_use(tmp_path: Path, values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        create_app(make_settings(tmp_path, **values))


def test_data_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"^DATA_DIR=[^ ]*/file/data cannot be used: Not a directory\.$"):
        create_app(make_settings(tmp_path / "file" / "data"))


@pytest.mark.parametrize(
    "values",
    [
        {"vectors": "local"},
        {"vectors": "weaviate", "weaviate_url": "http://127.0.0.1:1", "weaviate_api_key": "key"},
        {"vectors": "pgvector", "database_url": "postgresql://nobody@127.0.0.1:1/none"},
    ],
)
def test_program_is_made_while_the_store_of_vectors_is_away(
    tmp_path: Path, values: dict[str, object]
) -> None:
    runtime = create_app(make_settings(tmp_path, **values)).extensions["runtime"]
    assert runtime.vectors.__module__ == f"api.backends.vectors.{values['vectors']}"


def test_two_installations_make_different_secrets_and_keep_them(tmp_path: Path) -> None:
    first = create_app(make_settings(tmp_path / "a", secret_key=None)).extensions["runtime"].vault
    again = create_app(make_settings(tmp_path / "a", secret_key=None)).extensions["runtime"].vault
    other = create_app(make_settings(tmp_path / "b", secret_key=None)).extensions["runtime"].vault

    assert first.derive("x") == again.derive("x")
    assert first.derive("x") != other.derive("x")


def test_one_request_of_a_workflow_sends_as_much_as_the_largest_upload(tmp_path: Path) -> None:
    sizes = {"image_max_mb": 1, "document_max_mb": 2, "audio_max_mb": 7, "video_max_mb": 3}
    assert to_limits(make_settings(tmp_path, **sizes)).flow.http_upload_bytes == 7 * 1024 * 1024


def test_first_ping_comes_well_within_ten_seconds() -> None:
    assert Settings.model_fields["ping_interval_s"].default <= 9.0


def test_worker_without_a_broker_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set QUEUE=celery"):
        create_worker(make_settings(tmp_path))


def test_tracing_without_its_extra_is_refused_and_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "api.backends.tracing.otel", raising=False)
    asked = {"otel_exporter_otlp_endpoint": "http://127.0.0.1:4318"}

    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT needs the extra otel \(.*\.$"):
        create_app(make_settings(tmp_path, **asked))
    switched_off = create_app(make_settings(tmp_path, **asked, otel_sdk_disabled=True))

    assert switched_off.extensions["runtime"].tracer is NO_TRACER
