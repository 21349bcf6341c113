// Cuts a stream of bytes into server-sent events; pieces may end anywhere, within a character too.
"use strict";

const LINE_END = /\r\n|\n|\r/;

/**
 * Takes bytes as they come, gives frames `{data, id}` as they are complete; never an incomplete one. A number is
 * that of its frame alone, and not of those that follow without one.
 */
class FrameParser {
  #decoder = new TextDecoder("utf-8");
  #pending = [];
  #data = [];
  #id = "";
  #endedInCR = false;

  *feed(piece) {
    let text = this.#decoder.decode(piece, { stream: true });
    if (text === "") return;
    if (this.#endedInCR && text.startsWith("\n")) text = text.slice(1);
    this.#endedInCR = text.endsWith("\r");
    const [first, ...others] = text.split(LINE_END);
    this.#pending.push(first);
    for (const other of others) {
      const line = this.#pending.join("");
      this.#pending = [other];
      yield* this.#take(line);
    }
  }

  *#take(line) {
    if (line === "") {
      if (this.#data.length > 0) yield { data: this.#data.join("\n"), id: this.#id };
      this.#data = [];
      this.#id = "";
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}

module.exports = { FrameParser };
