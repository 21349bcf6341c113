// Apps that run: chat, completion, workflows.
"use strict";

const { get, pathOf, post } = require("./calls.js");
const { DifyStream } = require("./stream.js");

const PAUSE = "workflow_paused";
const SOUND_END = "tts_message_end";
const MESSAGE_ENDINGS = new Set(["message_end", SOUND_END, "error", PAUSE]);
const WORKFLOW_ENDINGS = new Set(["workflow_finished", SOUND_END, "error", PAUSE]);

/** Messages of one kind of app; `folder` is where they are sent. */
class MessageRuns {
  #transport;
  #folder;

  constructor(transport, folder) {
    this.#transport = transport;
    this.#folder = folder;
  }

  create(message) {
    return this.#transport.answer(this.#message(message, "blocking"));
  }

  createStream(message) {
    return this.#open(this.#message(message, "streaming"), message.user);
  }

  events(taskId, { user, after } = {}) {
    return this.#open(join(pathOf(this.#folder, taskId, "events"), after, { user }), user);
  }

  stop(taskId, { user }) {
    return this.#transport.answer(post(pathOf(this.#folder, taskId, "stop"), { user }));
  }

  #message(message, responseMode) {
    return post(pathOf(this.#folder), { inputs: {}, ...message, responseMode });
  }

  #open(start, user) {
    const eventsPath = (event) => pathOf(this.#folder, event.task_id, "events");
    return DifyStream.open(this.#transport, { start, eventsPath, endings: MESSAGE_ENDINGS, query: { user } });
  }
}

class Workflows {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  run({ workflowId, responseMode = "blocking", ...fields }) {
    const path = workflowId ? pathOf("workflows", workflowId, "run") : pathOf("workflows", "run");
    const start = post(path, { ...fields, responseMode });
    if (responseMode !== "streaming") return this.#transport.answer(start);
    return this.#open(start, { user: fields.user }, WORKFLOW_ENDINGS);
  }

  runStream(fields) {
    return this.run({ ...fields, responseMode: "streaming" });
  }

  events(runId, { user, after, continueOnPause = false }) {
    const query = continueOnPause ? { user, continue_on_pause: true } : { user };
    const endings = new Set(WORKFLOW_ENDINGS);
    if (continueOnPause) endings.delete(PAUSE);
    return this.#open(join(pathOf("workflow", runId, "events"), after, query), query, endings);
  }

  get(runId) {
    return this.#transport.answer(get(pathOf("workflows", "run", runId)));
  }

  stop(taskId, { user }) {
    return this.#transport.answer(post(pathOf("workflows", "tasks", taskId, "stop"), { user }));
  }

  logs(filters) {
    return this.#transport.answer(get(pathOf("workflows", "logs"), filters));
  }

  #open(start, query, endings) {
    const eventsPath = (event) => pathOf("workflow", event.workflow_run_id, "events");
    return DifyStream.open(this.#transport, { start, eventsPath, endings, query });
  }
}

/** Return the call that joins a run, from its first event on or after the one of a number. */
function join(path, after, query) {
  const headers = after === undefined ? {} : { "Last-Event-ID": String(after) };
  return { ...get(path, query), headers };
}

module.exports = { MessageRuns, Workflows };
