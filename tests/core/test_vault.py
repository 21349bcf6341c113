"""Secrets at rest."""

import pytest

from api.core.vault import SealBroken, Vault, seal, sealed_with, unseal

KEY_ID = "11111111-2222-3333-4444-555555555555"


def test_sealed_value_opens_with_its_key_and_context() -> None:
    key, sealed_key = Vault("root").new_data_key(KEY_ID)

    sealed = seal(key, b"secret", "provider:t:openai")
    reopened = Vault("root").open_data_key(KEY_ID, sealed_key)

    assert unseal({KEY_ID: reopened}, sealed, "provider:t:openai") == b"secret"
    assert sealed_with(sealed) == KEY_ID
    assert b"secret" not in sealed


def test_sealed_value_moved_elsewhere_does_not_open() -> None:
    key, _ = Vault("root").new_data_key(KEY_ID)

    with pytest.raises(SealBroken):
        unseal({KEY_ID: key}, seal(key, b"x", "tenant-a"), "tenant-b")


def test_sealed_value_changed_by_one_bit_does_not_open() -> None:
    key, _ = Vault("root").new_data_key(KEY_ID)
    sealed = bytearray(seal(key, b"x", "c"))
    sealed[-1] ^= 1

    with pytest.raises(SealBroken):
        unseal({KEY_ID: key}, bytes(sealed), "c")


def test_data_key_under_another_root_does_not_open() -> None:
    _, sealed_key = Vault("root").new_data_key(KEY_ID)

    with pytest.raises(SealBroken):
        Vault("other").open_data_key(KEY_ID, sealed_key)


def test_value_of_an_unknown_key_does_not_open() -> None:
    key, _ = Vault("root").new_data_key(KEY_ID)

    with pytest.raises(SealBroken):
        unseal({}, seal(key, b"x", "c"), "c")


def test_what_is_no_sealed_value_is_refused() -> None:
    with pytest.raises(SealBroken):
        sealed_with(b"short")


def test_derived_keys_differ_by_purpose() -> None:
    vault = Vault("root")

    assert vault.derive("a") != vault.derive("b")
    assert vault.derive("a") == Vault("root").derive("a")


def test_keys_never_show_in_a_repr() -> None:
    key, _ = Vault("root").new_data_key(KEY_ID)

    assert key.key.hex() not in repr(key)
    assert repr(key.key) not in repr(key)


def test_root_seal_opens_only_for_its_purpose() -> None:
    vault = Vault("root")

    assert vault.unseal("p", vault.seal("p", b"x", "c"), "c") == b"x"
    with pytest.raises(SealBroken):
        vault.unseal("q", vault.seal("p", b"x", "c"), "c")
