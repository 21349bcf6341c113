"""The way from a run to a workspace's models: what is known is not asked again, what changed is seen."""

from dataclasses import replace

import pytest

from api.core.model_runtime.provider import PROVIDERS
from api.core.model_runtime.types import ModelRef
from api.core.vault import SealBroken
from api.errors import ProviderNotConfigured
from api.models.account import Tenant
from api.models.provider import CustomModel, ProviderCredential
from api.runtime import Memory, Runtime
from api.services import provider_snapshot, providers
from api.services.ledger import Tally
from api.services.provider_snapshot import bump_version, load_snapshot, seal_credential, seal_model
from tests.factories import Owner, make_owner
from tests.statements import count_statements

OPENAI = ModelRef("openai", "gpt-4o")


def configure(runtime: Runtime, owner: Owner, *, key: str = "sk-1", name: str = "a name") -> str:
    """Store credentials of OpenAI that are in use, as if it had accepted them; return their id."""
    with runtime.transaction() as session:
        bump_version(session, owner.tenant_id)
        row = ProviderCredential(
            tenant_id=owner.tenant_id,
            provider="openai",
            name=name,
            sealed=seal_credential(runtime, session, owner.tenant_id, "openai", {"openai_api_key": key}),
            is_current=True,
        )
        session.add(row)
        session.flush()
        return row.id


def version(runtime: Runtime, owner: Owner) -> int:
    with runtime.transaction() as session:
        return session.get_one(Tenant, owner.tenant_id).providers_version


def key_used(runtime: Runtime, owner: Owner, at: int) -> str:
    """Return the key a run would call OpenAI with, at a version it was told."""
    known = provider_snapshot.snapshot_at(runtime, owner.tenant_id, at)
    current = known.current("openai")
    assert current is not None
    return current.fields["openai_api_key"]


def other_process(runtime: Runtime) -> Runtime:
    """Return the same backends as another process has them: with a memory of its own."""
    return replace(runtime, memory=Memory(100))


def test_models_at_a_known_version_take_no_statement(runtime: Runtime, owner: Owner) -> None:
    configure(runtime, owner)
    at = version(runtime, owner)
    tally = Tally(runtime=runtime, tenant_id=owner.tenant_id)
    providers.model_runtime(tally, at).schema(owner.tenant_id, OPENAI)

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        models = providers.model_runtime(tally, at)
        for _ in range(3):
            models.schema(owner.tenant_id, OPENAI)

    assert [text for text in statements if "provider" in text or "data_keys" in text] == []


def test_models_of_an_unconfigured_provider_are_refused(runtime: Runtime, owner: Owner) -> None:
    models = providers.model_runtime(Tally(runtime=runtime, tenant_id=owner.tenant_id), 0)

    with pytest.raises(ProviderNotConfigured):
        models.schema(owner.tenant_id, OPENAI)
    assert models.schema(owner.tenant_id, ModelRef("builtin", "extractive-qa")).context_tokens > 0


def test_change_made_by_another_process_is_seen_at_the_next_version(runtime: Runtime, owner: Owner) -> None:
    first = configure(runtime, owner, key="sk-1")
    assert key_used(runtime, owner, version(runtime, owner)) == "sk-1"
    elsewhere = other_process(runtime)

    with elsewhere.transaction() as session:
        bump_version(session, owner.tenant_id)
        session.delete(session.get_one(ProviderCredential, first))
    configure(elsewhere, owner, key="sk-2", name="another name")

    assert key_used(runtime, owner, version(runtime, owner)) == "sk-2"
    with runtime.transaction() as session:
        known = load_snapshot(runtime, session, owner.tenant_id)
    assert [credential.name for credential in known.credentials] == ["another name"]


def test_run_with_an_older_version_gets_what_is_stored_now(runtime: Runtime, owner: Owner) -> None:
    configure(runtime, owner)

    assert key_used(other_process(runtime), owner, 0) == "sk-1"


def test_version_grows_by_one_and_leaves_the_workspace_as_it_was(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        before = session.get_one(Tenant, owner.tenant_id)
        bump_version(session, owner.tenant_id)
    with runtime.transaction() as session:
        after = session.get_one(Tenant, owner.tenant_id)

    assert after.providers_version == before.providers_version + 1
    assert after.updated_at == before.updated_at


def test_quota_is_written_only_when_it_changes(runtime: Runtime, owner: Owner) -> None:
    credential_id = configure(runtime, owner)
    at = version(runtime, owner)
    source = provider_snapshot.snapshot_at(runtime, owner.tenant_id, at).current("openai")
    assert source is not None
    noted = []

    for is_ok in (True, False, False, True, True):
        providers._save_quota(runtime, owner.tenant_id, source, is_ok)
        with runtime.transaction() as session:
            row = session.get_one(ProviderCredential, credential_id)
            noted.append((row.quota_exceeded_at is None, version(runtime, owner) - at))

    assert noted == [(True, 0), (False, 1), (False, 1), (True, 2), (True, 2)]


def test_quota_of_credentials_deleted_meanwhile_is_no_error(runtime: Runtime, owner: Owner) -> None:
    credential_id = configure(runtime, owner)
    source = provider_snapshot.snapshot_at(runtime, owner.tenant_id, -1).current("openai")
    assert source is not None
    with runtime.transaction() as session:
        session.delete(session.get_one(ProviderCredential, credential_id))

    at = version(runtime, owner)
    providers._save_quota(runtime, owner.tenant_id, source, is_ok=False)

    assert version(runtime, owner) == at


@pytest.mark.parametrize("place", ["tenant", "provider"])
def test_sealed_credentials_moved_elsewhere_do_not_open(runtime: Runtime, owner: Owner, place: str) -> None:
    other = make_owner(runtime)
    credential_id = configure(runtime, owner)
    with runtime.transaction() as session:
        row = session.get_one(ProviderCredential, credential_id)
        if place == "tenant":
            row.tenant_id = other.tenant_id
        else:
            row.provider = "anthropic"

    thief = other if place == "tenant" else owner
    with pytest.raises(SealBroken), runtime.transaction() as session:
        load_snapshot(other_process(runtime), session, thief.tenant_id)


def test_snapshot_shows_no_secret_when_printed(runtime: Runtime, owner: Owner) -> None:
    configure(runtime, owner, key="sk-planted")
    ref = ModelRef("openai_api_compatible", "own")
    fields = {"endpoint_url": "u", "api_key": "sk-planted"}
    with runtime.transaction() as session:
        bump_version(session, owner.tenant_id)
        sealed = seal_model(runtime, session, owner.tenant_id, ref, fields)
        session.add(
            CustomModel(
                tenant_id=owner.tenant_id,
                provider=ref.provider,
                model=ref.model,
                model_type="llm",
                sealed=sealed,
            )
        )
    with runtime.transaction() as session:
        known = load_snapshot(runtime, session, owner.tenant_id)

    serving = known.serving(known.access(ref.provider).schema, ref.model)

    assert serving is not None
    assert serving.fields == fields
    assert "sk-planted" not in repr(known) + repr(serving)


def test_default_chat_model_is_the_first_of_a_configured_provider(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        bare = providers.default_chat_model(runtime, session, owner.tenant_id)
    configure(runtime, owner)
    with runtime.transaction() as session:
        configured = providers.default_chat_model(runtime, session, owner.tenant_id)

    assert bare == ModelRef("builtin", "extractive-qa")
    assert configured == ModelRef("openai", PROVIDERS["openai"].schema.models[0].model)
