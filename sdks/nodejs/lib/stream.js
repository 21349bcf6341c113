// Runs as they go on: read to their end, and read on where the connection broke.
"use strict";

const {
  APIConnectionError,
  APIError,
  DifyError,
  InvalidAnswerError,
  StreamInterruptedError,
  toError,
} = require("./errors.js");
const { FrameParser } = require("./sse.js");

/** The connection of a stream broke; what is meant is in `cause`. Never leaves this module. */
class Broken extends Error {}

/**
 * The events of a run. Read them with `for await`, or with listeners: those of `message`, `messageEnd` and so
 * on (an event's name in camel case), of `event` for each, of `error` and `end`. Reading begins when the code
 * that adds the first listener has run.
 *
 * A run belongs to the server: it goes on when nobody reads any more, until its end or a call of `stop`.
 */
class DifyStream {
  #transport;
  #reading;
  #response = null;
  #last = null;
  #number = null;
  #resumesLeft;
  #closed = new AbortController();
  #listeners = new Map();
  #isRead = false;
  #willFlow = false;
  #cause;
  #failure;

  /** Use the methods of a client, which open the stream as well. */
  constructor(transport, reading) {
    this.#transport = transport;
    this.#reading = reading;
    this.#resumesLeft = transport.maxResumes;
  }

  /** Start or join a run; what refuses it is thrown here. */
  static async open(transport, reading) {
    const stream = new DifyStream(transport, reading);
    stream.#response = await stream.#begin();
    return stream;
  }

  /** What stops the run; empty before its first event. */
  get taskId() {
    return String(this.#last?.task_id ?? "");
  }

  /** The number of the last event that came, from 1; null where the server does not number them. */
  get lastEventId() {
    return this.#number;
  }

  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, []);
    this.#listeners.get(name).push(listener);
    if (!this.#willFlow) {
      this.#willFlow = true;
      setTimeout(() => this.#flow(), 0);
    }
    return this;
  }

  once(name, listener) {
    const first = (value) => {
      this.off(name, first);
      listener(value);
    };
    return this.on(name, first);
  }

  off(name, listener) {
    const others = (this.#listeners.get(name) ?? []).filter((each) => each !== listener);
    this.#listeners.set(name, others);
    return this;
  }

  /** Read no more. */
  close() {
    this.#closed.abort();
  }

  async *[Symbol.asyncIterator]() {
    if (this.#isRead) throw new DifyError("The stream is being read already.");
    this.#isRead = true;
    const chunks = this.#read();
    try {
      for (;;) {
        const step = await this.#next(chunks);
        if (step.done) break;
        this.#emit(toCamel(step.value.event), step.value);
        this.#emit("event", step.value);
        yield step.value;
      }
      this.#emit("end");
    } finally {
      this.close();
    }
  }

  async #next(chunks) {
    try {
      return await chunks.next();
    } catch (error) {
      this.#failure = error;
      this.#emit("error", error);
      throw error;
    }
  }

  /** Read for the listeners, unless somebody reads already; an error nobody listens for is not hidden. */
  async #flow() {
    if (this.#isRead) return;
    try {
      for await (const _ of this);
    } catch (error) {
      if (error !== this.#failure || !this.#listeners.get("error")?.length) throw error;
    }
  }

  #emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(value);
  }

  async *#read() {
    for (;;) {
      const parser = new FrameParser();
      try {
        const response = this.#response ?? (await this.#tryToResume());
        this.#response = null;
        for await (const piece of this.#pieces(response)) {
          for (const frame of parser.feed(piece)) {
            const chunk = this.#take(frame);
            if (chunk === null) continue;
            yield chunk;
          }
        }
        if (this.#hasEnded()) return;
        this.#cause = undefined;
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        if (!(error instanceof Broken)) throw error;
        if (this.#hasEnded()) return;
        this.#cause = error.cause;
      }
    }
  }

  /** Tell whether what came last may be the last: the sound of an answer follows its end. */
  #hasEnded() {
    return this.#reading.endings.has(this.#last?.event);
  }

  /** Yield what comes; throws Broken where the connection fails or is silent for too long. */
  async *#pieces(response) {
    const reader = response.body.getReader();
    try {
      for (;;) {
        const { done, value } = await this.#readOnce(reader);
        if (done) return;
        yield value;
      }
    } finally {
      reader.cancel().catch(() => {}); // where the connection is gone there is nothing to end
    }
  }

  async #readOnce(reader) {
    let timer;
    const silence = new Promise((_, reject) => {
      const limitMs = this.#transport.idleTimeoutMs;
      timer = setTimeout(() => reject(new Error(`nothing came for ${limitMs} ms`)), limitMs);
    });
    try {
      return await Promise.race([reader.read(), silence]);
    } catch (cause) {
      throw new Broken("The connection broke.", { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Return the event of a frame, null for one that came before; throws what an error event tells of. */
  #take(frame) {
    const chunk = toChunk(frame);
    if (/^\d{1,15}$/.test(frame.id)) {
      if (Number(frame.id) <= (this.#number ?? 0)) return null;
      this.#number = Number(frame.id);
    }
    this.#last = chunk;
    if (chunk.event === "error") throw toError(chunk, Number.isInteger(chunk.status) ? chunk.status : 500);
    return chunk;
  }

  #begin() {
    const { start } = this.#reading;
    const headers = { ...start.headers, "X-Stream-Ids": "true" };
    return this.#transport.open({ ...start, headers }, this.#closed.signal);
  }

  async #resume() {
    if (this.#resumesLeft === 0 || (this.#last !== null && this.#number === null)) {
      throw new StreamInterruptedError("The stream broke before its end.", { cause: this.#cause });
    }
    this.#resumesLeft -= 1;
    if (this.#last === null) return this.#begin(); // the key of the call makes the server take it for the same
    const path = this.#reading.eventsPath(this.#last);
    const headers = { "Last-Event-ID": String(this.#number) };
    return this.#transport.open({ method: "GET", path, query: this.#reading.query, headers }, this.#closed.signal);
  }

  /** Read on; what keeps that from being done is worth another try where no answer came. */
  async #tryToResume() {
    try {
      return await this.#resume();
    } catch (cause) {
      if (cause instanceof StreamInterruptedError) throw cause;
      if (cause instanceof APIConnectionError) throw new Broken("No answer came.", { cause });
      if (!(cause instanceof APIError) || this.#last === null) throw cause;
      const message = "The stream broke, and the server does not let it be read on.";
      throw new StreamInterruptedError(message, { cause });
    }
  }
}

function toChunk(frame) {
  let chunk;
  try {
    chunk = JSON.parse(frame.data);
  } catch (cause) {
    throw new InvalidAnswerError("The stream holds a frame that is no JSON.", { cause });
  }
  if (typeof chunk?.event === "string") return chunk;
  throw new InvalidAnswerError("The stream holds a frame that is no event.");
}

function toCamel(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

module.exports = { DifyStream };
