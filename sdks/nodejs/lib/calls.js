// Calls as plain data: what to send, whatever sends it.
"use strict";

const { randomUUID } = require("node:crypto");

function get(path, query) {
  return { method: "GET", path, query: toFields(query) };
}

/** A POST has a key of its own, so that the server does it once however often it is sent. */
function post(path, fields) {
  return { method: "POST", path, body: toFields(fields), headers: { "Idempotency-Key": randomUUID() } };
}

/** A POST of a form: a file, which is bytes or a Blob, and texts. */
function postFile(path, { file, name, ...fields }) {
  const fileName = name ?? file?.name;
  if (!fileName) throw new TypeError("a file needs a name, which tells its kind");
  const content = file instanceof Blob ? file : new Blob([file]);
  const form = () => {
    const made = new FormData();
    made.append("file", content, fileName);
    for (const [key, value] of Object.entries(toFields(fields))) made.append(key, String(value));
    return made;
  };
  return { method: "POST", path, form, headers: { "Idempotency-Key": randomUUID() } };
}

/** Return the path of these parts, whatever they hold. */
function pathOf(...parts) {
  for (const part of parts) {
    if (typeof part !== "string" || ["", ".", ".."].includes(part)) throw new TypeError(`${part} is no id`);
  }
  return parts.map((part) => `/${encodeURIComponent(part)}`).join("");
}

/** Return what is given, its names as the API has them: `conversationId` is `conversation_id`. */
function toFields(given = {}) {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [toSnake(name), value]));
}

function toSnake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

module.exports = { get, post, postFile, pathOf, toFields };
