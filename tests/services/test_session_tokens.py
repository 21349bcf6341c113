"""The tokens of a console session, as anyone who tampers with them meets them."""

import base64
import time

import jwt
import pytest

from api.core.vault import Vault
from api.errors import Unauthorized
from api.services import session_tokens
from api.services.session_tokens import Tokens

VAULT = Vault("a-root-secret-of-32-characters-00")
OTHER_VAULT = Vault("another-root-secret-of-32-chars-0")
ACCOUNT_ID = "11111111-1111-4111-8111-111111111111"
SESSION_ID = "22222222-2222-4222-8222-222222222222"


def issue(ttl_s: int = 60, vault: Vault = VAULT) -> Tokens:
    return session_tokens.issue_tokens(
        vault,
        account_id=ACCOUNT_ID,
        session_id=SESSION_ID,
        refresh_token=session_tokens.new_refresh_token(vault, SESSION_ID),
        ttl_s=ttl_s,
    )


def resigned(changes: dict[str, object], *, without: str = "") -> str:
    """Return an access token with other claims, signed with the right key."""
    claims = jwt.decode(issue().access_token, options={"verify_signature": False})
    claims = {name: value for name, value in {**claims, **changes}.items() if name != without}
    return jwt.encode(claims, VAULT.derive("access-token"), "HS256")


def unsigned() -> str:
    """Return an access token that says it needs no signature."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{issue().access_token.split('.')[1]}."


def flipped(token: str, position: int) -> str:
    """Return a token with one character changed."""
    other = "a" if token[position] != "a" else "b"
    return token[:position] + other + token[position + 1 :]


def test_access_token_fresh_names_account_and_session() -> None:
    claims = session_tokens.read_access_token(VAULT, issue().access_token)

    assert (claims.account_id, claims.session_id) == (ACCOUNT_ID, SESSION_ID)


def test_access_token_claims_are_the_documented_ones() -> None:
    claims = jwt.decode(issue(ttl_s=3600).access_token, options={"verify_signature": False})

    assert claims["iss"] == "SELF_HOSTED"
    assert claims["sub"] == "Console API Passport"
    assert claims["user_id"] == ACCOUNT_ID
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60


NO_ACCESS_TOKENS = {
    "empty": "",
    "garbage": "a.b.c",
    "api key": "app-0123456789",
    "signature flipped": flipped(issue().access_token, -2),
    "claims flipped": flipped(issue().access_token, 60),
    "unsigned": unsigned(),
    "expired": issue(ttl_s=0).access_token,
    "other secret": issue(vault=OTHER_VAULT).access_token,
    "csrf token": issue().csrf_token,
    "refresh token": issue().refresh_token,
    "other issuer": resigned({"iss": "CLOUD"}),
    "other subject": resigned({"sub": "Web API Passport"}),
    "no session": resigned({}, without="sid"),
    "no end": resigned({}, without="exp"),
}


@pytest.mark.parametrize("kind", NO_ACCESS_TOKENS)
def test_access_token_forged_or_over_is_refused(kind: str) -> None:
    with pytest.raises(Unauthorized):
        session_tokens.read_access_token(VAULT, NO_ACCESS_TOKENS[kind])


@pytest.mark.parametrize("ttl_s", [60, -60])
def test_session_of_access_token_is_named_even_when_expired(ttl_s: int) -> None:
    token = issue(ttl_s=ttl_s).access_token

    assert session_tokens.session_of_access_token(VAULT, token) == SESSION_ID


@pytest.mark.parametrize("kind", [kind for kind in NO_ACCESS_TOKENS if kind != "expired"])
def test_session_of_access_token_forged_is_none(kind: str) -> None:
    assert session_tokens.session_of_access_token(VAULT, NO_ACCESS_TOKENS[kind]) is None


def test_csrf_token_fresh_names_account() -> None:
    assert session_tokens.read_csrf_token(VAULT, issue().csrf_token) == ACCOUNT_ID


NO_CSRF_TOKENS = {
    "empty": "",
    "garbage": "x",
    "access token": issue().access_token,
    "expired": issue(ttl_s=-1).csrf_token,
    "other secret": issue(vault=OTHER_VAULT).csrf_token,
}


@pytest.mark.parametrize("kind", NO_CSRF_TOKENS)
def test_csrf_token_forged_or_over_is_refused(kind: str) -> None:
    with pytest.raises(Unauthorized):
        session_tokens.read_csrf_token(VAULT, NO_CSRF_TOKENS[kind])


def test_refresh_token_is_128_random_hex_characters() -> None:
    first, second = (session_tokens.new_refresh_token(VAULT, SESSION_ID) for _ in range(2))

    assert first != second
    assert len(bytes.fromhex(first)) == 64


def test_refresh_token_successor_is_always_the_same_and_of_the_same_session() -> None:
    token = issue().refresh_token

    successor = session_tokens.next_refresh_token(VAULT, token)

    assert successor == session_tokens.next_refresh_token(VAULT, token) != token
    assert session_tokens.session_of_refresh_token(VAULT, successor) == SESSION_ID


def test_refresh_token_successor_needs_the_root_secret() -> None:
    token = issue().refresh_token

    assert session_tokens.next_refresh_token(VAULT, token) != session_tokens.next_refresh_token(
        OTHER_VAULT, token
    )


NO_REFRESH_TOKENS = {
    "empty": "",
    "zeros": "0" * 128,
    "not ascii": "é" * 128,
    "blank": " " * 128,
    "cut": issue().refresh_token[:-2],
    "session flipped": flipped(issue().refresh_token, 0),
    "tag flipped": flipped(issue().refresh_token, -1),
    "other spelling": issue().refresh_token.upper(),
    "other secret": issue(vault=OTHER_VAULT).refresh_token,
    "access token": issue().access_token,
}


@pytest.mark.parametrize("kind", NO_REFRESH_TOKENS)
def test_session_of_refresh_token_not_ours_is_none(kind: str) -> None:
    assert session_tokens.session_of_refresh_token(VAULT, NO_REFRESH_TOKENS[kind]) is None


def test_tokens_repr_tells_none_of_them() -> None:
    tokens = issue()

    shown = repr(tokens)

    assert tokens.access_token not in shown
    assert tokens.refresh_token not in shown
    assert tokens.csrf_token not in shown
