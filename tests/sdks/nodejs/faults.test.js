// The Node.js SDK against servers that refuse, break off and fall silent.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const sdk = require("../../../sdks/nodejs");
const { FrameParser } = require("../../../sdks/nodejs/lib/sse.js");
const { retryAfterMs } = require("../../../sdks/nodejs/lib/transport.js");
const { DROP, HANG, frame, json, refused, serve, streamed } = require("./server.js");

const KEY = "app-a-key-of-the-tests";
const ASKED = { query: "Hi", user: "ada & co" };
const OK = json({ answer: "Hello" });

function client(server, options = {}) {
  return new sdk.DifyClient(KEY, { baseUrl: server.url, backoffMs: 0, ...options });
}

async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test("refusals that pass are tried again as one request", async (t) => {
  const limited = refused(429, "rate_limit_exceeded", { "Retry-After": "1" });
  const underWay = refused(409, "idempotency_in_progress", { "Retry-After": "0" });
  const server = await serve(t, limited, underWay, DROP, OK);
  const began = Date.now();

  const answer = await client(server, { maxRetries: 3 }).chat.create({ ...ASKED, conversationId: null });

  assert.deepEqual(answer, { answer: "Hello" });
  assert.ok(Date.now() - began >= 990);
  assert.equal(new Set(server.seen.map((seen) => seen.headers["idempotency-key"])).size, 1);
  assert.equal(new Set(server.seen.map((seen) => seen.body)).size, 1);
  assert.equal(server.seen[0].headers.authorization, `Bearer ${KEY}`);
  const body = { inputs: {}, ...ASKED, conversation_id: null, response_mode: "blocking" };
  assert.deepEqual(JSON.parse(server.seen[0].body), body);
});

for (const [name, reply, tries] of [
  ["few tries", refused(503, "service_unavailable"), 3],
  ["one try where the wait is long", refused(429, "rate_limit_exceeded", { "Retry-After": "3600" }), 1],
  ["one try for a fault", refused(500, "internal_error"), 1],
]) {
  test(`refusals that last are told after ${name}`, async (t) => {
    const server = await serve(t, reply);
    await assert.rejects(client(server).app.info(), sdk.APIError);
    assert.equal(server.seen.length, tries);
  });
}

for (const [status, code, kind] of [
  [400, "invalid_param", sdk.BadRequestError],
  [400, "completion_request_error", sdk.ModelError],
  [401, "unauthorized", sdk.AuthenticationError],
  [403, "access_denied", sdk.PermissionDeniedError],
  [404, "not_found", sdk.NotFoundError],
  [409, "conflict", sdk.ConflictError],
  [429, "rate_limit_exceeded", sdk.RateLimitError],
  [503, "service_unavailable", sdk.ServerError],
]) {
  test(`${status} ${code} has its class, within a stream too`, async (t) => {
    const told = { status, code, message: "No." };
    const server = await serve(t, refused(status, code), streamed(frame(1), frame(null, "error", told)));
    const calls = client(server, { maxRetries: 0 });
    const whole = await calls.chat.create(ASKED).catch((error) => error);
    const within = await readAll(await calls.chat.createStream(ASKED)).catch((error) => error);
    for (const error of [whole, within]) {
      assert.equal(error.constructor, kind);
      assert.deepEqual([error.name, error.status, error.code], [kind.name, status, code]);
      assert.equal(error.message, `No. (${status} ${code})`);
    }
  });
}

test("a stream is read on where it broke and tells nothing twice", async (t) => {
  const server = await serve(
    t,
    streamed(DROP),
    streamed(frame(1), frame(2).slice(0, -1), DROP),
    streamed(frame(1), frame(2), frame(3)),
    DROP,
    DROP,
    streamed(": here\n\nevent: ping\n\n", frame(4), DROP),
    streamed(frame(5, "message_end"), DROP),
  );

  const stream = await client(server, { maxRetries: 1 }).chat.createStream(ASKED);
  const chunks = await readAll(stream);

  assert.deepEqual(chunks.map((chunk) => chunk.answer), ["w1 ", "w2 ", "w3 ", "w4 ", "w5 "]);
  assert.deepEqual([stream.taskId, stream.lastEventId], ["t-1", 5]);
  const asked = server.seen.map((seen) => [seen.method, seen.url, seen.headers["last-event-id"]]);
  const events = "/api/chat-messages/t-1/events?user=ada+%26+co";
  assert.deepEqual(asked.slice(0, 2), Array(2).fill(["POST", "/api/chat-messages", undefined]));
  assert.deepEqual(asked.slice(2), [..."13334"].map((number) => ["GET", events, number]));
  assert.equal(new Set(server.seen.slice(0, 2).map((seen) => seen.headers["idempotency-key"])).size, 1);
});

test("sound after the end is read on too", async (t) => {
  const server = await serve(
    t,
    streamed(frame(1), frame(2, "message_end"), frame(3, "tts_message"), DROP),
    streamed(frame(4, "tts_message"), frame(5, "tts_message_end"), DROP),
  );

  const stream = await client(server, { maxRetries: 1 }).chat.createStream(ASKED);
  const chunks = await readAll(stream);

  assert.deepEqual(chunks.slice(1).map((chunk) => chunk.event), ["message_end", "tts_message", "tts_message", "tts_message_end"]);
  assert.deepEqual(server.seen.map((seen) => seen.headers["last-event-id"]), [undefined, "3"]);
});

for (const [name, script, asked] of [
  ["breaks ever again", [streamed(frame(1), DROP)], 4],
  ["has no numbers", [streamed(frame(null), DROP)], 1],
  ["is forgotten", [streamed(frame(1), DROP), refused(404, "not_found")], 2],
]) {
  test(`a stream that ${name} cannot be read on and says so`, async (t) => {
    const server = await serve(t, ...script);
    const stream = await client(server, { maxResumes: 3 }).chat.createStream(ASKED);
    await assert.rejects(readAll(stream), sdk.StreamInterruptedError);
    assert.equal(server.seen.length, asked);
  });
}

test("listeners hear each event by its name, all events, and the end", async (t) => {
  const server = await serve(t, streamed(frame(1), frame(2, "agent_thought"), frame(3, "message_end")));
  const heard = [];

  const stream = await client(server).chat.createStream(ASKED);
  const gone = () => assert.fail("was taken off");
  await new Promise((resolve) => {
    stream.on("message", (chunk) => heard.push(chunk.answer)).on("message", gone).off("message", gone);
    stream.once("event", (chunk) => heard.push(`first ${chunk.event}`));
    stream.on("agentThought", () => heard.push("thought"));
    stream.on("messageEnd", () => heard.push("last"));
    stream.on("error", assert.fail);
    stream.on("end", resolve);
  });

  assert.deepEqual(heard, ["w1 ", "first message", "thought", "last"]);
});

test("listeners hear what went wrong; nobody else is bothered by it", async (t) => {
  const told = { status: 400, code: "completion_request_error", message: "The model is out." };
  const server = await serve(t, streamed(frame(1), frame(2, "error", told)));

  const stream = await client(server).chat.createStream(ASKED);
  const error = await new Promise((resolve) => stream.on("error", resolve));

  assert.ok(error instanceof sdk.ModelError);
});

test("an error that nobody listens for ends the program", async (t) => {
  const server = await serve(t, streamed(frame(1, "error", { status: 500, code: "internal_error" })));
  const code = `
    const { DifyClient } = require(${JSON.stringify(require.resolve("../../../sdks/nodejs"))});
    new DifyClient("k", { baseUrl: "${server.url}" }).chat.createStream({ query: "Hi", user: "ada" })
      .then((stream) => stream.on("message", () => {}));`;
  const { spawn } = require("node:child_process");
  const child = spawn(process.execPath, ["-e", code]);
  let said = "";
  child.stderr.on("data", (piece) => (said += piece));
  const status = await new Promise((resolve) => child.on("close", resolve));

  assert.equal(status, 1);
  assert.match(said, /ServerError/);
});

test("a stream is read once, and left without an error", async (t) => {
  const server = await serve(t, streamed(frame(1), HANG));
  const stream = await client(server).chat.createStream(ASKED);

  for await (const chunk of stream) {
    assert.equal(chunk.answer, "w1 ");
    break;
  }
  await assert.rejects(readAll(stream), /being read already/);

  const other = await client(server).chat.createStream(ASKED);
  other.on("message", () => other.close());
  await new Promise((resolve) => other.on("end", resolve));
});

test("nobody answers, or not this API", async (t) => {
  const page = { headers: { "Content-Type": "text/html" }, steps: ["<html>"] };
  const server = await serve(t, page, page, streamed("data: [1]\n\n"), streamed("data: no\n\n"), HANG);
  const calls = client(server, { maxRetries: 0 });

  await assert.rejects(calls.chat.create(ASKED), sdk.InvalidAnswerError);
  await assert.rejects(calls.chat.createStream(ASKED), sdk.InvalidAnswerError);
  for (const _ of [1, 2]) {
    await assert.rejects(readAll(await calls.chat.createStream(ASKED)), sdk.InvalidAnswerError);
  }
  const hasty = client(server, { timeoutMs: 100, idleTimeoutMs: 100 });
  await assert.rejects(hasty.chat.create(ASKED), sdk.APITimeoutError);
  await assert.rejects(hasty.chat.createStream(ASKED), sdk.APITimeoutError);
  const silent = client(await serve(t, streamed(frame(1), HANG)), { idleTimeoutMs: 100, maxResumes: 1 });
  const read = async () => readAll(await silent.chat.createStream(ASKED));
  await assert.rejects(read(), sdk.APIConnectionError);
  const gone = await serve(t, OK);
  gone.close();
  await assert.rejects(client(gone).chat.create(ASKED), sdk.APIConnectionError);
});

test("workflows end at a pause unless asked to go on", async (t) => {
  const more = { workflow_run_id: "r-1" };
  const told = [frame(1, "workflow_started", more), frame(2, "workflow_paused", more)];
  const rest = frame(3, "workflow_finished", more);
  const server = await serve(t, streamed(...told), streamed(...told), streamed(rest));
  const { workflows } = client(server);

  const short = await readAll(await workflows.runStream({ inputs: {}, user: "ada" }));
  const long = await readAll(await workflows.events("r-1", { user: "ada", continueOnPause: true }));

  assert.deepEqual(short.map((chunk) => chunk.event), ["workflow_started", "workflow_paused"]);
  assert.equal(long.at(-1).event, "workflow_finished");
  assert.equal(server.seen[2].url, "/api/workflow/r-1/events?user=ada&continue_on_pause=true");
  assert.equal(server.seen[2].headers["last-event-id"], "2");
});

test("what changes documents and segments is sent as the API has it", async (t) => {
  const server = await serve(t, json({}));
  const { datasets } = client(server);
  const file = new Blob(["Nine ships."]);

  await datasets.retrieve("d", { query: "ships", retrievalModel: { top_k: 3 } });
  await datasets.documents.updateByText("d", "o", { name: "Bees", text: "Bees rest.", docForm: "text_model" });
  await datasets.documents.updateByFile("d", "o", { file, fileName: "harbour.txt", docForm: "text_model" });
  await datasets.documents.setStatus("d", "un_archive", { documentIds: ["o"] });
  await datasets.documents.delete("d", "o");
  await datasets.segments.create("d", "o", { segments: [{ content: "Wasps." }] });
  await datasets.segments.get("d", "o", "s");
  await datasets.segments.update("d", "o", "s", { content: "Wasps sting.", regenerateChildChunks: true });
  await datasets.segments.delete("d", "o", "s");

  const form = server.seen.splice(2, 1)[0];
  assert.equal(form.url, "/api/datasets/d/documents/o/update-by-file");
  assert.match(form.body, /name="file"; filename="harbour.txt"[^]*Nine ships\./);
  assert.match(form.body, /name="data"\r\n\r\n{"doc_form":"text_model"}\r\n/);
  const under = "/api/datasets/d/documents";
  const asked = server.seen.map(({ method, url, body }) => [method, url, body && JSON.parse(body)]);
  assert.deepEqual(asked, [
    ["POST", "/api/datasets/d/retrieve", { query: "ships", retrieval_model: { top_k: 3 } }],
    ["POST", `${under}/o/update-by-text`, { name: "Bees", text: "Bees rest.", doc_form: "text_model" }],
    ["PATCH", `${under}/status/un_archive`, { document_ids: ["o"] }],
    ["DELETE", `${under}/o`, ""],
    ["POST", `${under}/o/segments`, { segments: [{ content: "Wasps." }] }],
    ["GET", `${under}/o/segments/s`, ""],
    ["POST", `${under}/o/segments/s`, { segment: { content: "Wasps sting.", regenerate_child_chunks: true } }],
    ["DELETE", `${under}/o/segments/s`, ""],
  ]);
});

test("speech, variables and suggestions are asked for as the API has it", async (t) => {
  const server = await serve(t, json({ text: "Hello." }));
  const { audio, conversations, messages } = client(server, { appId: "a-1" });

  await audio.toText({ file: Buffer.from("ID3 hello"), name: "hello.mp3" });
  await assert.rejects(audio.toText({ file: Buffer.from("ID3 hello") }), TypeError);
  const sound = await audio.speak({ user: "ada", messageId: "m" });
  await conversations.setVariable("c", "v", { value: null, user: "ada" });
  await messages.suggested("m", { user: "ada" });

  const form = server.seen.shift();
  assert.match(form.body, /name="file"; filename="hello.mp3"[^]*ID3 hello/);
  assert.deepEqual(Buffer.from(sound).toString(), '{"text":"Hello."}');
  assert.deepEqual(server.seen.map(({ method, url, body }) => [method, url, body && JSON.parse(body)]), [
    ["POST", "/api/text-to-audio", { user: "ada", message_id: "m" }],
    ["PUT", "/api/conversations/c/variables/v", { value: null, user: "ada" }],
    ["GET", "/api/messages/m/suggested?user=ada", ""],
  ]);
  assert.ok(server.seen.every((seen) => seen.headers["x-app-id"] === "a-1"));
});

test("a client needs a key, an address and ids", async (t) => {
  assert.throws(() => new sdk.DifyClient(""), TypeError);
  assert.throws(() => new sdk.DifyClient(KEY, { baseUrl: "127.0.0.1:5001/api" }), TypeError);
  const server = await serve(t, OK);
  const { conversations } = client(server);
  assert.throws(() => conversations.messages("..", { user: "ada" }), TypeError);
  await conversations.messages("a/b?c", { user: "ada", firstId: undefined });
  assert.equal(server.seen[0].url, "/api/conversations/a%2Fb%3Fc/messages?user=ada");
});

test("frames are the same wherever the bytes are cut", () => {
  const whole = Buffer.from(
    '\ufeff: a comment\r\nid: 1\r\ndata: {"answer": "你好 🌊"}\r\n\r\n' +
      "event: ping\n\ndata\ndata:two\r\ndata:  lines\rid: bad\0\r\rid: 3\n\ndata: unfinished",
  );
  const expected = [
    { data: '{"answer": "你好 🌊"}', id: "1" },
    { data: "\ntwo\n lines", id: "" },
  ];
  for (let first = 0; first <= whole.length; first += 1) {
    for (const second of [first, first + 1, whole.length]) {
      const parser = new FrameParser();
      const pieces = [whole.subarray(0, first), whole.subarray(first, second), whole.subarray(second)];
      assert.deepEqual(pieces.flatMap((piece) => [...parser.feed(piece)]), expected);
    }
  }
});

test("Retry-After is seconds or a date", () => {
  const now = Date.UTC(2026, 10, 26, 12);
  assert.equal(retryAfterMs(null, now), null);
  assert.equal(retryAfterMs("12", now), 12_000);
  assert.equal(retryAfterMs(new Date(now + 90_000).toUTCString(), now), 90_000);
  assert.equal(retryAfterMs(new Date(now - 90_000).toUTCString(), now), 0);
  assert.equal(retryAfterMs("soon", now), null);
});
