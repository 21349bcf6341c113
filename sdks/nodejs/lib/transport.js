// Sends calls, again where that is right. A call is `{method, path, query, body, form, headers}`.
"use strict";

const { APIConnectionError, APIError, APITimeoutError, InvalidAnswerError, toError } = require("./errors.js");

const SENT_AGAIN = new Set([408, 429, 502, 503, 504]);
const UNDER_WAY = "idempotency_in_progress";
const MAX_BACKOFF_MS = 8000;
const USER_AGENT = "dify-client-nodejs/0.1.0";

class Transport {
  #options;

  constructor(options) {
    this.#options = options;
  }

  /** Return the JSON object of the answer, an empty one where it has no body. */
  async answer(call) {
    const text = new TextDecoder().decode(await this.content(call));
    if (text === "") return {};
    const found = parse(text);
    if (found === null) throw new InvalidAnswerError(`${call.path} was not answered with a JSON object`);
    return found;
  }

  /** Return the bytes of the answer. */
  async content(call) {
    return this.#try(call, this.#options.timeoutMs, async (signal) => {
      const response = await this.#send(call, signal);
      return new Uint8Array(await response.arrayBuffer());
    });
  }

  /** Return the answer of a call as a stream of bytes, once it has begun. `signal` ends it for good. */
  async open(call, signal) {
    const send = (timeout) => this.#send(call, either(timeout, signal));
    const response = await this.#try(call, this.#options.idleTimeoutMs, send, signal);
    const kind = response.headers.get("Content-Type") ?? "";
    if (kind.startsWith("text/event-stream")) return response;
    await response.body?.cancel();
    throw new InvalidAnswerError(`${call.path} was not answered with a stream of events but with ${kind}`);
  }

  get idleTimeoutMs() {
    return this.#options.idleTimeoutMs;
  }

  get maxResumes() {
    return this.#options.maxResumes;
  }

  /** Run until it succeeds; wait between tries for what the server asks for, else ever longer. */
  async #try(call, limitMs, run, closed) {
    for (let failed = 0; ; failed += 1) {
      const timer = new AbortController();
      const limit = setTimeout(() => timer.abort(), limitMs);
      let waitMs;
      try {
        return await run(timer.signal);
      } catch (error) {
        if (closed?.aborted) throw error;
        if (timer.signal.aborted) throw new APITimeoutError(`${call.path} was not answered in time`);
        waitMs = this.#waitMs(error, failed, call);
      } finally {
        clearTimeout(limit);
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** Return how long to wait before the next try; throws what the caller is to get. */
  #waitMs(error, failed, call) {
    const { maxRetries, backoffMs, maxWaitMs } = this.#options;
    const asked = error instanceof APIError ? error.retryAfterMs : null;
    if (error instanceof APIError) {
      const mayGoAway = SENT_AGAIN.has(error.status) || error.code === UNDER_WAY;
      if (!mayGoAway || failed >= maxRetries || (asked ?? 0) > maxWaitMs) throw error;
    } else if (!(error instanceof TypeError)) {
      throw error; // what fetch throws for a broken connection is a TypeError
    } else if (failed >= maxRetries) {
      throw new APIConnectionError(`${call.path} cannot be reached: ${error.message}`, { cause: error });
    }
    return asked ?? Math.min(backoffMs * 2 ** failed, MAX_BACKOFF_MS) * (0.5 + Math.random() / 2);
  }

  async #send(call, signal) {
    const { apiKey, baseUrl, appId, fetch } = this.#options;
    const headers = { Authorization: `Bearer ${apiKey}`, "User-Agent": USER_AGENT, ...call.headers };
    if (appId) headers["X-App-Id"] = appId;
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    const body = call.body === undefined ? call.form?.() : JSON.stringify(call.body);
    const url = `${baseUrl}${call.path}${toQuery(call.query)}`;
    const response = await fetch(url, { method: call.method, headers, body, signal, redirect: "manual" });
    if (response.ok) return response;
    const told = parse(await response.text()) ?? {};
    throw toError(told, response.status, {
      requestId: response.headers.get("X-Request-Id"),
      retryAfterMs: retryAfterMs(response.headers.get("Retry-After"), Date.now()),
    });
  }
}

/** Return the milliseconds of a Retry-After header, which holds seconds or a date; null where neither. */
function retryAfterMs(header, nowMs) {
  if (header === null) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const until = Date.parse(header);
  return Number.isNaN(until) ? null : Math.max(0, until - nowMs);
}

function toQuery(query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
  const params = new URLSearchParams();
  for (const [name, value] of given) {
    for (const item of Array.isArray(value) ? value : [value]) params.append(name, String(item));
  }
  return given.length > 0 ? `?${params}` : "";
}

/** Return an object of JSON, or null. */
function parse(text) {
  try {
    const found = JSON.parse(text);
    return typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Return a signal that is given with whichever of two comes first. AbortSignal.any is newer than Node 18. */
function either(first, second) {
  const both = new AbortController();
  for (const signal of [first, second]) {
    if (signal.aborted) both.abort();
    signal.addEventListener("abort", () => both.abort(), { once: true });
  }
  return both.signal;
}

module.exports = { Transport, retryAfterMs };
