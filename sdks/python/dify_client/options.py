"""What a client is made with, and the requests it makes of calls."""

import os
from dataclasses import dataclass, field
from typing import TypedDict
from urllib.parse import urlsplit

import httpx

from dify_client.call import Call
from dify_client.retries import Retries

DEFAULT_URL = "http://127.0.0.1:5001/api"
URL_VARIABLE = "DIFY_BASE_URL"
USER_AGENT = "dify-client-python/0.1.0"
CONNECT_S = 5.0


class Tuning(TypedDict, total=False):
    """What may be set when a client is made, besides its key and its address.

    ``app_id`` names the app that a workspace key is used for. ``timeout_s`` is how long an answer may
    take, ``idle_timeout_s`` how long a stream may be silent; servers ping at least every 10 seconds.
    ``max_resumes`` is how often one stream is read on after it broke. The others: see ``Retries``.
    """

    app_id: str | None
    timeout_s: float
    idle_timeout_s: float
    max_retries: int
    backoff_s: float
    max_wait_s: float
    max_resumes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a client is made with."""

    api_key: str = field(repr=False)
    base_url: str
    app_id: str | None
    timeout_s: float
    idle_timeout_s: float
    retries: Retries
    max_resumes: int

    @classmethod
    def of(cls, api_key: str, base_url: str | None, tuning: Tuning) -> "Options":
        """Return the options with what was left out; raises ValueError for a bad key or address."""
        if not api_key:
            raise ValueError("an API key is needed")
        url = (base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise ValueError(f"{url!r} is no base URL")
        usual = Retries()
        return cls(
            api_key=api_key,
            base_url=url,
            app_id=tuning.get("app_id"),
            timeout_s=tuning.get("timeout_s", 300.0),
            idle_timeout_s=tuning.get("idle_timeout_s", 60.0),
            max_resumes=tuning.get("max_resumes", 5),
            retries=Retries(
                max_retries=tuning.get("max_retries", usual.max_retries),
                backoff_s=tuning.get("backoff_s", usual.backoff_s),
                max_wait_s=tuning.get("max_wait_s", usual.max_wait_s),
            ),
        )

    def request(self, http: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        """Return the request of a call."""
        app = {"X-App-Id": self.app_id} if self.app_id else {}
        usual = {"Authorization": f"Bearer {self.api_key}", "User-Agent": USER_AGENT, **app}
        read_s = self.idle_timeout_s if call.is_stream else self.timeout_s
        return http.build_request(
            call.method,
            f"{self.base_url}{call.path}",
            params=dict(call.query) or None,
            json=call.body,
            data=dict(call.form) if call.form is not None else None,
            files={"file": call.file} if call.file is not None else None,
            headers={**usual, **call.headers},
            timeout=httpx.Timeout(read_s, connect=CONNECT_S),
        )
