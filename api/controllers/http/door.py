"""What every door shares: the runtime, one transaction, rendered answers, declared guards.

A door method is a method of a flask-restx Resource under exactly one guard
(``public``, or one of auth.py). ``check_guards`` refuses to start a program in
which a route has none.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import orjson
from flask import Flask, Request, Response, current_app, request
from werkzeug.wsgi import ClosingIterator

from api.core.ports import JSONValue
from api.principal import Principal
from api.runtime import Runtime, Session
from api.services import idempotency
from api.services.idempotency import Claim
from api.services.tokens import KeyCaller

JSON_TYPE = "application/json; charset=utf-8"
SIGNATURE = re.compile(rb"\?timestamp=\d+&nonce=[0-9a-f]+&sign=[^\"&]+")
"""What services/files.py appends to an address to sign it."""

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may use a door method: anyone, a console member of a role, or a key of a scope.

    ``need`` is the scope, or the word of docs/wire/roles.md for the roles.
    """

    kind: Literal["public", "console", "key"]
    need: str = ""


def runtime() -> Runtime:
    """Return the runtime of the program that serves this request."""
    return cast("Runtime", current_app.extensions["runtime"])


def present_request() -> Request:
    """Return the request itself: each look through Flask's stand-in for it costs half a microsecond."""
    return cast("Request", request._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001  # as Flask says


def base_url() -> str:
    """Return the address clients reach this server at, without a slash at its end."""
    return (runtime().limits.public_url or f"{request.scheme}://{request.host}").rstrip("/")


def guarded(guard: Guard, method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a door method with its guard."""
    method.guard = guard  # type: ignore[attr-defined]  # read back by check_guards
    return method


def public(method: Method) -> Method:
    """Declare a door method open to anyone."""
    return cast("Method", guarded(Guard("public"), method))


def transactional(method: Callable[..., Any]) -> Callable[..., Any]:
    """Give the method a session as its first argument: returning commits, raising rolls back.

    That of a GET only reads. A POST that carries an ``Idempotency-Key`` is done once; its answer is kept
    in the same transaction and given again.
    """

    @wraps(method)
    def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
        if request.method == "GET":
            with runtime().reading() as session:
                return method(self, session, *args, **kwargs)
        asked = claim(*_actor(args)) if request.method == "POST" else None
        with runtime().transaction() as session:
            if asked is None:
                return method(self, session, *args, **kwargs)
            return _once(session, asked, lambda: method(self, session, *args, **kwargs))

    return wrapper


def claim(tenant_id: str | None, actor_id: str, body: bytes | None = None) -> Claim | None:
    """Return the request's idempotency claim, None where it carries no key or comes from no workspace.

    ``body`` stands for what was asked where that is a form, whose bytes are not kept.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None or tenant_id is None:
        return None
    return idempotency.to_claim(
        tenant_id,
        actor_id,
        f"{request.method} {request.path}",
        key,
        request.get_data() if body is None else body,
    )


def _once(session: Session, asked: Claim, create: Callable[[], Response]) -> Response:
    """Create, and keep the answer in the same transaction; or give the answer of the first time."""
    first = idempotency.take(session, asked)
    if first is not None:
        status, body = idempotency.first_answer(runtime(), first)
        return Response(body, status, content_type=JSON_TYPE)
    response = create()
    idempotency.keep_answer(runtime(), session, asked, response.status_code, response.get_data())
    return response


def _actor(args: tuple[Any, ...]) -> tuple[str | None, str]:
    """Return workspace and id of whoever the guard let in."""
    match args:
        case [Principal() as principal, *_]:
            return principal.tenant_id, principal.id
        case [KeyCaller() as caller, *_]:
            return caller.app.tenant_id, caller.key_id
    return None, ""


def render(payload: object, status: int = 200) -> Response:
    """Return a value (dicts, lists, dataclasses, times) as a JSON answer."""
    return Response(orjson.dumps(payload), status, content_type=JSON_TYPE)


def render_tagged(payload: JSONValue) -> Response:
    """Return a value with a strong ETag, or 304 when the client holds the same one.

    The tag ignores the signatures of signed URLs, which differ on every answer
    though nothing changed.
    """
    body = orjson.dumps(payload)
    tag = hashlib.sha256(SIGNATURE.sub(b"", body)).hexdigest()[:32]
    response = Response(body, 200, content_type=JSON_TYPE)
    response.set_etag(tag)
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers.add("Vary", "Authorization, Cookie")
    if "If-None-Match" in request.headers:
        response.make_conditional(request)
    return response


def when_sent(response: Response, call: Callable[[], None]) -> None:
    """Call once all of an answer is sent or its client has left; at once where it is no stream."""
    if not response.is_streamed:
        call()
    elif response.direct_passthrough:  # then nothing closes the answer itself
        response.response = ClosingIterator(cast("Iterable[bytes]", response.response), call)
    else:
        response.call_on_close(call)


def check_guards(app: Flask) -> None:
    """Raise AssertionError naming every route whose method declares no guard."""
    naked = [
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if guard_of(app, rule.endpoint, method) is None
    ]
    assert not naked, f"routes without a guard: {', '.join(sorted(naked))}"


def guard_of(app: Flask, endpoint: str, method: str) -> Guard | None:
    """Return the declared guard of a route's method; the documentation's own pages are public."""
    view = app.view_functions[endpoint]
    name = endpoint.rsplit(".", 1)[-1]
    if name in ("static", "specs", "root", "doc") or endpoint == "restx_doc.static":
        return Guard("public")
    resource = getattr(view, "view_class", None)
    target = view if resource is None else getattr(resource, method.lower(), None)
    return getattr(target, "guard", None)
