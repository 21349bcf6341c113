// Walks through the Node.js SDK against a running program, whose keys come from the environment.
import assert from "node:assert/strict";

import { ConflictError, DifyClient, NotFoundError } from "dify-client";

const client = new DifyClient(process.env.APP_KEY);
const user = "ada";
const words = ({ answer }) => answer ?? "";

const whole = await client.chat.create({ query: "What is Slipway?", user, autoGenerateName: false });
const { conversation_id: conversationId } = whole;
const chunks = [];
const stream = await client.chat.createStream({ query: "What is Slipway?", user, conversationId });
for await (const chunk of stream) chunks.push(chunk);
const again = [];
for await (const chunk of await client.chat.events(stream.taskId, { user, after: 1 })) again.push(chunk);
assert.ok(whole.answer.length > 0);
assert.equal(chunks.at(-1).event, "message_end");
assert.equal(stream.lastEventId, chunks.length);
assert.deepEqual(again, chunks.slice(1));
assert.deepEqual(await client.chat.stop(stream.taskId, { user }), { result: "success" });

const { message_id: messageId } = chunks[0];
await client.messages.feedback(messageId, { rating: "like", user });
const history = await client.conversations.messages(conversationId, { user, limit: 1 });
assert.equal(history.data[0].answer, chunks.map(words).join(""));
assert.deepEqual(history.data[0].feedback, { rating: "like" });
assert.equal((await client.messages.list({ conversationId, user })).data.length, 2);
assert.equal((await client.conversations.rename(conversationId, { user, name: "Ships" })).name, "Ships");
assert.deepEqual((await client.conversations.variables(conversationId, { user })).data, []);
assert.equal((await client.conversations.list({ user, sortBy: "-created_at" })).data.length, 1);
assert.deepEqual(await client.conversations.delete(conversationId, { user }), {});
await assert.rejects(client.conversations.messages(conversationId, { user }), NotFoundError);

const file = new TextEncoder().encode("Seven ships.");
const upload = await client.files.upload({ file, name: "harbour.txt", user });
assert.equal(Buffer.from(await client.files.preview(upload.id, { user })).toString(), "Seven ships.");
for (const told of ["info", "parameters", "meta", "site"]) assert.ok(await client.app[told]());

const workflows = new DifyClient(process.env.WORKFLOW_KEY).workflows;
const run = await workflows.run({ inputs: { text: "One two three." }, user });
assert.deepEqual(run.data.outputs, { result: "Only 3 words." });
let last;
const running = await workflows.runStream({ inputs: { text: "One two." }, user });
for await (const chunk of running) last = chunk;
assert.deepEqual(last.data.outputs, { result: "Only 2 words." });
assert.equal((await workflows.get(last.workflow_run_id)).status, "succeeded");
for await (const chunk of await workflows.events(last.workflow_run_id, { user })) last = chunk;
assert.equal(last.event, "workflow_finished");
assert.deepEqual(await workflows.stop(running.taskId, { user }), { result: "success" });
assert.equal((await workflows.logs({ limit: 1 })).data.length, 1);

const { datasets } = new DifyClient(process.env.DATASET_KEY);
const { documents, segments } = datasets;
const { id } = await datasets.create({ name: "Harbour", indexingTechnique: "economy" });
await assert.rejects(datasets.create({ name: "Harbour" }), ConflictError);
const byText = await documents.createByText(id, { name: "Bees", text: "Bees hum." });
const byFile = await documents.createByFile(id, { file, fileName: "harbour.txt", docForm: "text_model" });
for (const { batch } of [byText, byFile]) {
  assert.equal((await documents.indexingStatus(id, batch)).data.length, 1);
}
assert.equal((await documents.get(id, byFile.document.id)).name, "harbour.txt");
assert.equal((await documents.list(id, { keyword: "Bees" })).data[0].id, byText.document.id);
assert.equal((await segments.list(id, byText.document.id, { limit: 5 })).limit, 5);
assert.equal((await datasets.update(id, { description: "Bees" })).description, "Bees");
assert.equal((await datasets.get(id)).name, "Harbour");
assert.equal((await datasets.list({ keyword: "Harbour" })).data.length, 1);
assert.deepEqual(await datasets.delete(id), {});

console.log("arrived");
