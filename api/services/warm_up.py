"""Loads, behind the first requests, what would make the first message slow.

The tokenizer, and the SDKs of the vendors some workspace has configured. Off
the start itself, so that the program answers sooner, and off the event loop.
"""

from sqlalchemy import select

from api.core.model_runtime.provider import PROVIDERS
from api.core.model_runtime.upstream import load_sdk
from api.core.text.tokens import count_tokens
from api.models.provider import CustomModel, ProviderCredential
from api.runtime import Runtime

DONE = "warmed_up"


def warm_up(runtime: Runtime) -> None:
    """Load tokenizer and SDKs; nothing after the first time."""
    if runtime.memory.get(DONE):
        return
    runtime.memory.put(DONE, True)
    count_tokens("")
    with runtime.transaction() as session:
        used = session.scalars(select(ProviderCredential.provider).union(select(CustomModel.provider))).all()
    for provider in used:
        schema = PROVIDERS[provider].schema if provider in PROVIDERS else None
        if schema is not None and schema.sdk is not None:
            load_sdk(schema.sdk, runtime.offload.call)
