// The client: everything there is to call, by what it is about.
"use strict";

const { Datasets } = require("./datasets.js");
const { App, Audio, Conversations, Files, Messages } = require("./resources.js");
const { MessageRuns, Workflows } = require("./runs.js");
const { Transport } = require("./transport.js");

const DEFAULT_URL = "http://127.0.0.1:5001/api";

class DifyClient {
  constructor(apiKey, { baseUrl, ...tuning } = {}) {
    if (typeof apiKey !== "string" || apiKey === "") throw new TypeError("an API key is needed");
    const url = (baseUrl || globalThis.process?.env.DIFY_BASE_URL || DEFAULT_URL).replace(/\/+$/, "");
    if (!/^https?:\/\/[^/]/.test(url)) throw new TypeError(`${url} is no base URL`);
    const transport = new Transport({
      apiKey,
      baseUrl: url,
      appId: tuning.appId,
      timeoutMs: tuning.timeoutMs ?? 300_000,
      idleTimeoutMs: tuning.idleTimeoutMs ?? 60_000,
      maxRetries: tuning.maxRetries ?? 2,
      backoffMs: tuning.backoffMs ?? 500,
      maxWaitMs: tuning.maxWaitMs ?? 60_000,
      maxResumes: tuning.maxResumes ?? 5,
      fetch: tuning.fetch ?? globalThis.fetch,
    });
    this.app = new App(transport);
    this.audio = new Audio(transport);
    this.chat = new MessageRuns(transport, "chat-messages");
    this.completion = new MessageRuns(transport, "completion-messages");
    this.conversations = new Conversations(transport);
    this.datasets = new Datasets(transport);
    this.files = new Files(transport);
    this.messages = new Messages(transport);
    this.workflows = new Workflows(transport);
  }
}

module.exports = { DifyClient };
