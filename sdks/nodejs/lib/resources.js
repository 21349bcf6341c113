// What is kept around runs: conversations, messages, files, speech, and what an app tells of itself.
"use strict";

const { get, pathOf, post, postFile } = require("./calls.js");

class Resource {
  constructor(transport) {
    Object.defineProperty(this, "transport", { value: transport }); // kept out of logs
  }
}

class Conversations extends Resource {
  list(query) {
    return this.transport.answer(get(pathOf("conversations"), query));
  }

  messages(conversationId, query) {
    return this.transport.answer(get(pathOf("conversations", conversationId, "messages"), query));
  }

  rename(conversationId, fields) {
    return this.transport.answer(post(pathOf("conversations", conversationId, "name"), fields));
  }

  delete(conversationId, { user }) {
    const path = pathOf("conversations", conversationId);
    return this.transport.answer({ method: "DELETE", path, body: { user } });
  }

  variables(conversationId, query) {
    return this.transport.answer(get(pathOf("conversations", conversationId, "variables"), query));
  }

  setVariable(conversationId, variableId, { value, user }) {
    const path = pathOf("conversations", conversationId, "variables", variableId);
    return this.transport.answer({ method: "PUT", path, body: { value, user } });
  }
}

class Messages extends Resource {
  list(query) {
    return this.transport.answer(get(pathOf("messages"), query));
  }

  feedback(messageId, fields) {
    return this.transport.answer(post(pathOf("messages", messageId, "feedbacks"), fields));
  }

  suggested(messageId, query) {
    return this.transport.answer(get(pathOf("messages", messageId, "suggested"), query));
  }
}

class Files extends Resource {
  async upload(fields) {
    return this.transport.answer(postFile(pathOf("files", "upload"), fields));
  }

  preview(fileId, query) {
    return this.transport.content(get(pathOf("files", fileId, "preview"), query));
  }
}

class Audio extends Resource {
  async toText(fields) {
    return this.transport.answer(postFile(pathOf("audio-to-text"), fields));
  }

  speak(fields) {
    return this.transport.content(post(pathOf("text-to-audio"), fields));
  }
}

class App extends Resource {
  info() {
    return this.transport.answer(get(pathOf("info")));
  }

  parameters() {
    return this.transport.answer(get(pathOf("parameters")));
  }

  meta() {
    return this.transport.answer(get(pathOf("meta")));
  }

  site() {
    return this.transport.answer(get(pathOf("site")));
  }
}

module.exports = { App, Audio, Conversations, Files, Messages, Resource };
