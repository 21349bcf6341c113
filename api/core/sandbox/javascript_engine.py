"""JavaScript on V8, which here has nothing but the language; each request has an isolate of its own."""

import json
import time

from py_mini_racer import (
    JSEvalException,
    JSOOMException,
    JSParseException,
    JSPromise,
    JSPromiseError,
    JSTimeoutException,
    MiniRacer,
)

from api.core.sandbox.engine import MAX_PRINTED_BYTES, PRINTED_TOO_MUCH, Failed, Request, Run

PRELUDE = """
globalThis.console = ((left, excuse) => {
  const print = (...parts) => {
    for (const part of parts) left -= String(part).length + 1;
    if (left < 0) throw new RangeError(excuse);
  };
  return {log: print, info: print, warn: print, error: print, debug: print};
})"""
CALL = """
(result => result instanceof Promise
  ? result.then(value => JSON.stringify(value))
  : JSON.stringify(result))"""
NO_ROOM = "Array buffer allocation failed"
LACKS = ("require is not defined", "Buffer is not defined", "process is not defined", "fetch is not defined")
HINT = "This sandbox runs plain JavaScript: the language, without Node's modules and without network."


def start(memory_bytes: int) -> Run:
    """Return how to run code, V8 being loaded."""
    MiniRacer().close()

    def run(request: Request) -> str:
        with MiniRacer() as isolate:
            isolate.set_hard_memory_limit(memory_bytes)
            try:
                return _run(isolate, request)
            except (JSOOMException, MemoryError) as exc:
                raise MemoryError from exc
            except JSTimeoutException as exc:
                raise Failed("time", is_spent=True) from exc
            except (JSEvalException, JSParseException, JSPromiseError) as exc:
                raise _failure(str(exc)) from exc

    return run


def _run(isolate: MiniRacer, request: Request) -> str:
    """Return the result; the server's clock says when it is too late, the one here backs it."""
    deadline = time.monotonic() + request.timeout_s + 1
    isolate.eval(f"{PRELUDE}({MAX_PRINTED_BYTES}, {json.dumps(PRINTED_TOO_MUCH)})")
    isolate.eval(request.source, timeout_sec=max(deadline - time.monotonic(), 0.001))
    inputs = json.dumps(json.dumps(request.inputs))
    result = isolate.eval(
        f"{CALL}(main(JSON.parse({inputs})))", timeout_sec=max(deadline - time.monotonic(), 0.001)
    )
    if isinstance(result, JSPromise):
        result = result.get(timeout=max(deadline - time.monotonic(), 0.001))
    if not isinstance(result, str):
        raise Failed("main returned nothing.")
    return result


def _failure(text: str) -> Failed | MemoryError:
    if NO_ROOM in text:
        return MemoryError()
    if PRINTED_TOO_MUCH in text:
        return Failed(PRINTED_TOO_MUCH)
    text = text.replace("<anonymous>", "main.js").strip()
    return Failed(f"{text}\n{HINT}" if any(lack in text for lack in LACKS) else text)
