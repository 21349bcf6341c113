"""Makes a fresh installation usable at once: an owner, demo apps on our documentation and on tools, keys."""

import hashlib
import io
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject
from api.models.app import APIToken, App, Site
from api.principal import ActorKind, Principal, Role
from api.runtime import Runtime
from api.services import (
    accounts,
    app_configs,
    apps,
    datasets,
    demo_agent,
    demo_workflow,
    document_sources,
    setup,
    tokens,
)
from api.services.accounts import AlreadySetUp
from api.services.document_settings import DocumentSettings
from api.services.plans import QuotaReached
from api.services.uploads import IncomingFile

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
NO_PROSE = re.compile(r"^```.*?^```\n?|^\|[^\n]*\n?", re.DOTALL | re.MULTILINE)
DEMO_APP = "Slipway demo"
DEMO_DATASET = "Slipway documentation"
DEMO_MODEL = ModelRef("builtin", "extractive-qa")
DEMO_PROMPT = """Answer from the context.
<context>
Slipway is a self-hosted backend for LLM applications that speaks Dify's API.
It runs as one process on a laptop or a small server: database, queue, vectors and files are embedded.
The same code scales out by settings alone: PostgreSQL, Redis and several processes.
A run belongs to the server: when the client goes away, the answer is still completed and stored.
This demo app uses the built-in model, which quotes sentences from its context and does not generate text.
To get generated answers, connect a provider such as OpenAI, Anthropic or Ollama and choose its model.
</context>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What a first start made. ``password`` is None where the operator chose it."""

    email: str
    password: str | None = field(repr=False)
    app_key: str = field(repr=False)
    workflow_key: str = field(repr=False)
    agent_key: str = field(repr=False)


def make_demo(
    runtime: Runtime, *, email: str, password: str | None, pages: Sequence[Path] = ()
) -> Demo | None:
    """Make owner, demo app and key on an empty database; None where there is an owner already.

    ``pages`` become the documents of a dataset that the app answers from, as many
    as the default plan has room for.

    Raises InvalidRequest for a password that may not be chosen.
    """
    with runtime.transaction() as session:
        if setup.get_setup_time(session) is not None:
            return None
    chosen = password or secrets.token_urlsafe(12) + "1a"
    try:
        with runtime.transaction() as session:
            account, tenant = accounts.create_owner(
                runtime, session, email=email, name="Owner", password=chosen
            )
            principal = Principal(tenant_id=tenant.id, kind=ActorKind.ACCOUNT, id=account.id, role=Role.OWNER)
            app = apps.create_app(
                runtime,
                session,
                principal,
                name=DEMO_APP,
                mode="chat",
                description="Quotes its context.",
                is_demo=True,
            )
            dataset = datasets.create_dataset(
                runtime,
                session,
                principal,
                {"name": DEMO_DATASET, "indexing_technique": "economy", "permission": "all_team_members"},
            )
            app_configs.save_config(runtime, session, principal, app.id, demo_config(dataset.id))
            _, key = tokens.create_token(session, principal, name="demo", app_id=app.id)
            workflow_key = demo_workflow.make_workflow(runtime, session, principal)
            agent_key = demo_agent.make_agent(runtime, session, principal, DEMO_MODEL)
    except AlreadySetUp:  # by another start that was faster
        return None
    with suppress(QuotaReached):
        for page in pages:
            document_sources.create_from_file(
                runtime, principal, dataset.id, _to_file(page), DocumentSettings(), name=page.name
            )
    return Demo(
        email=email,
        password=None if password else chosen,
        app_key=key,
        workflow_key=workflow_key,
        agent_key=agent_key,
    )


def _to_file(page: Path) -> IncomingFile:
    """Return a page without code and tables: the demo's model would quote those for an answer."""
    data = NO_PROSE.sub("", page.read_text(encoding="utf-8")).encode()
    return IncomingFile(
        name=page.name,
        content=io.BytesIO(data),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def demo_config(dataset_id: str) -> JSONObject:
    """Return the configuration of the demo app, which answers from a dataset."""
    return {
        "model": {
            "provider": DEMO_MODEL.provider,
            "name": DEMO_MODEL.model,
            "mode": "chat",
            "completion_params": {},
        },
        "pre_prompt": DEMO_PROMPT,
        "dataset_configs": {
            "retrieval_model": "multiple",
            "top_k": 4,
            "datasets": {"datasets": [{"dataset": {"enabled": True, "id": dataset_id}}]},
        },
        "opening_statement": "Ask me what Slipway is.",
        "suggested_questions": ["What is Slipway?", "What happens when the client goes away?"],
    }


def server_url(public_url: str, host: str, port: int) -> str:
    """Return where to reach the server: PUBLIC_URL, or without one where it listens on this machine."""
    if public_url:
        return public_url.rstrip("/")
    if host in EVERYWHERE:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def page_of(runtime: Runtime, url: str, key: str) -> str | None:
    """Return the address of the page of the app a key is of; None where it is closed, or there is none."""
    query = (
        select(Site.code)
        .join(App, App.id == Site.app_id)
        .join(APIToken, APIToken.app_id == App.id)
        .where(APIToken.token_hash == tokens.hash_token(key), App.enable_site.is_(True))
    )
    with runtime.reading() as session:
        code = session.scalar(query)
    return f"{url}/chat/{code}" if code else None


def banner(
    url: str,
    key: str,
    made: Demo | None,
    *,
    page: str | None,
    workflow_key: str | None,
    agent_key: str | None,
) -> str:
    """Return what a start prints: where to go, and lines that work when pasted.

    Keys are None of what the version that made the demo did not have.
    """
    lines = ["", f"Slipway serves at {url}", f"  Swagger UI of the console   {url}/console/api/spec"]
    lines.append(f"  Public API, browsable       {url}/api/docs")
    if page is not None:
        lines.append(f"  Chat with the demo app      {page}")
    if made is not None:
        lines.append(f"  Owner                       {made.email}")
    if made is not None and made.password is not None:
        lines.append(f"  Password (shown once)       {made.password}")
    lines += [
        "",
        "The demo app answers from our documentation; the built-in model quotes and does not generate.",
        "Stream an answer:",
        "",
        curl_line(url, key, "streaming"),
        "",
        "Or get it whole:",
        "",
        curl_line(url, key, "blocking"),
        "",
    ]
    if workflow_key is not None:
        lines += ["Run the demo workflow:", "", workflow_line(url, workflow_key), ""]
    if agent_key is not None:
        lines += ["Have the demo agent call a tool:", "", agent_line(url, agent_key), ""]
    return "\n".join(lines)


def curl_line(url: str, key: str, mode: str) -> str:
    """Return a line to paste into a shell: one question to the demo app."""
    body = f'{{"query": "What is Slipway?", "user": "me", "response_mode": "{mode}"}}'
    return _curl(f"{url}/api/chat-messages", key, body)


def agent_line(url: str, key: str) -> str:
    """Return a line to paste into a shell: one question to the demo agent."""
    body = f'{{"query": "{demo_agent.QUESTION}", "user": "me", "response_mode": "streaming"}}'
    return _curl(f"{url}/api/chat-messages", key, body)


def workflow_line(url: str, key: str) -> str:
    """Return a line to paste into a shell: one run of the demo workflow."""
    return _curl(
        f"{url}/api/workflows/run",
        key,
        f'{{"inputs": {{"text": "{demo_workflow.TEXT}"}}, "user": "me", "response_mode": "streaming"}}',
    )


def _curl(url: str, key: str, body: str) -> str:
    return f"curl -N {url} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
