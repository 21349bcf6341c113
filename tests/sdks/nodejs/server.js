// A scripted server: each request is answered by the next reply of the script, the last one again and again.
"use strict";

const http = require("node:http");

const IDS = { task_id: "t-1", message_id: "m-1", conversation_id: "c-1" };
const DROP = Symbol("drop");
const HANG = Symbol("hang");

/** Serve a script until the test ends; return the address and what was asked. */
async function serve(test, ...script) {
  const seen = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      const reply = script.length > 1 ? script.shift() : script[0];
      play(reply, response);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  test.after(close);
  return { url: `http://127.0.0.1:${server.address().port}/api`, seen, close };
}

async function play(reply, response) {
  if (reply === DROP) return response.destroy();
  if (reply === HANG) return;
  response.writeHead(reply.status ?? 200, reply.headers);
  response.flushHeaders();
  for (const step of reply.steps) {
    if (step === HANG) return;
    if (step === DROP) {
      await new Promise((resolve) => setImmediate(resolve));
      return response.destroy();
    }
    await new Promise((resolve) => response.write(step, resolve));
  }
  response.end();
}

function json(value, status = 200, headers = {}) {
  const kind = { "Content-Type": "application/json" };
  return { status, headers: { ...kind, ...headers }, steps: [JSON.stringify(value)] };
}

function refused(status, code, headers = {}) {
  return json({ code, message: "No.", status }, status, headers);
}

function streamed(...steps) {
  return { headers: { "Content-Type": "text/event-stream; charset=utf-8" }, steps };
}

function frame(number, event = "message", more = {}) {
  const head = number === null ? "" : `id: ${number}\n`;
  const told = { event, ...IDS, answer: `w${number} `, ...more };
  return `${head}data: ${JSON.stringify(told)}\n\n`;
}

module.exports = { DROP, HANG, frame, json, refused, serve, streamed };
