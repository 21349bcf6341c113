"""Requests to webhooks, whatever their body is, as the workflow's rules take them."""

from urllib.parse import parse_qsl

import orjson
from flask import Request, request

from api.controllers.http.parsing import check_depth, check_text
from api.controllers.http.uploads import MULTIPART, TooManyFiles
from api.core.ports import JSONValue
from api.core.workflow.webhooks import JSON, OCTETS, WebhookCall
from api.errors import BadRequest
from api.services.trigger_runs import Received, SentFile

URL_ENCODED = "application/x-www-form-urlencoded"


def read_call(req: Request = request) -> Received:
    """Return the present request. Raises BadRequest for a body that is not what it says it is."""
    files = _files(req)
    body = None if files and req.mimetype == OCTETS else _body(req)
    check_text(body)
    params = dict(req.args)
    check_text({**params})
    call = WebhookCall(
        method=req.method,
        content_type=req.content_type or "",
        headers=dict(req.headers),
        params=params,
        body=body,
    )
    return Received(call=call, files=files)


def _body(req: Request) -> JSONValue:
    if req.mimetype == MULTIPART:
        return dict(req.form)
    raw = req.get_data()
    if not raw:
        return None
    if req.mimetype == JSON:
        return _json(raw)
    try:
        text = raw.decode()
        return dict(parse_qsl(text, keep_blank_values=True)) if req.mimetype == URL_ENCODED else text
    except ValueError:
        raise BadRequest("The body is no text in UTF-8.") from None


def _json(raw: bytes) -> JSONValue:
    check_depth(raw)
    try:
        value: JSONValue = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("The body is no JSON.") from None
    return value


def _files(req: Request) -> dict[str, list[SentFile]]:
    """Return the files of a form, or the whole body as one. Raises TooManyFiles for more than one."""
    if req.mimetype == OCTETS:
        raw = req.get_data()
        return {"body": [SentFile(name="body.bin", mime_type=OCTETS, content=raw)]} if raw else {}
    if req.mimetype != MULTIPART:
        return {}
    sent = list(req.files.items(multi=True))
    if len(sent) > 1:
        raise TooManyFiles("Only one file is allowed.")
    return {
        name: [
            SentFile(
                name=file.filename or "file", mime_type=file.mimetype or OCTETS, content=file.stream.read()
            )
        ]
        for name, file in sent
    }
