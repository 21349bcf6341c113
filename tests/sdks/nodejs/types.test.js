// The hand-written types say what there is: every class and method, and nothing else.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");

const ROOT = path.join(__dirname, "../../../sdks/nodejs");
const sdk = require(ROOT);
const TYPES = fs.readFileSync(path.join(ROOT, "index.d.ts"), "utf8");

/** Return the body of a declared interface or class. */
function declared(name) {
  const found = TYPES.match(new RegExp(`^export (?:interface|class) ${name}\\b.*\\{\\n([^]*?)^\\}`, "m"));
  assert.ok(found, name);
  return found[1];
}

/** Return the members of a body that match, each once, in order. */
function members(body, pattern) {
  return [...new Set([...body.matchAll(pattern)].map((found) => found[1]))].sort();
}

function methodsOf(value) {
  const descriptors = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(value));
  const methods = Object.entries(descriptors).filter(([, found]) => typeof found.value === "function");
  return methods.map(([name]) => name).filter((name) => name !== "constructor").sort();
}

function check(part, name) {
  const body = declared(name);
  const methods = members(body, /^ {2}(\w+)(?:<.*>)?\(/gm).filter((each) => each !== "constructor");
  assert.deepEqual(methods, methodsOf(part));
  const parts = [...body.matchAll(/^ {2}readonly (\w+): (\w+);/gm)];
  assert.deepEqual(parts.map((found) => found[1]).sort(), Object.keys(part).sort());
  for (const [, key, type] of parts) check(part[key], type);
}

test("the parts of a client have exactly the declared methods", () => {
  check(new sdk.DifyClient("app-key"), "DifyClient");
});

test("a stream has exactly the declared members", () => {
  const body = declared("DifyStream");
  const names = [...members(body, /^ {2}(\w+)(?:<.*>)?\(/gm), ...members(body, /^ {2}readonly (\w+)/gm)];
  assert.deepEqual(names.sort(), Object.getOwnPropertyNames(sdk.DifyStream.prototype)
    .filter((name) => name !== "constructor").sort());
});

test("exactly the declared classes are there, below the declared ones, for both kinds of modules", async () => {
  const classes = [...TYPES.matchAll(/^export class (\w+)(?: extends (\w+))?/gm)];
  const esm = await import(path.join(ROOT, "index.mjs"));
  assert.deepEqual(classes.map((found) => found[1]).sort(), Object.keys(sdk).sort());
  for (const [, name, parent] of classes) {
    assert.equal(Object.getPrototypeOf(sdk[name]).name, parent ?? "");
    assert.equal(esm[name], sdk[name]);
  }
  assert.deepEqual(Object.keys(esm).sort(), Object.keys(sdk).sort());
});

test("the package needs nothing else, and holds every file it names", () => {
  const told = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
  assert.deepEqual([told.dependencies, told.devDependencies, told.peerDependencies], Array(3).fill(undefined));
  for (const name of told.files) assert.ok(fs.existsSync(path.join(ROOT, name)), name);
  const sources = [...fs.readdirSync(path.join(ROOT, "lib")).map((name) => path.join("lib", name)), "index.js"];
  for (const name of sources) {
    const text = fs.readFileSync(path.join(ROOT, name), "utf8");
    assert.deepEqual(members(text, /require\("([^.][^"]*)"\)/g).filter((each) => !each.startsWith("node:")), []);
  }
});
