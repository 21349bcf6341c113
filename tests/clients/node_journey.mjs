// What a program does with npm's dify-client. Arguments: folder of the package, address of the API,
// keys of a chat app, a completion app and a workflow. What came of it is printed as JSON.
const [folder, baseUrl, chatKey, completionKey, workflowKey] = process.argv.slice(2);
const { ChatClient, CompletionClient } = await import(`${folder}/node_modules/dify-client/index.js`);
const user = "ann";

async function readStream(response) {
  let text = "";
  for await (const chunk of response.data) text += chunk;
  return text
    .split("\n\n")
    .filter((frame) => frame.startsWith("data: "))
    .map((frame) => JSON.parse(frame.slice(6)));
}

const answerOf = (events) => events.map((event) => event.answer ?? "").join("");

const chat = new ChatClient(chatKey, baseUrl);
const parameters = await chat.getApplicationParameters(user);
const form = new FormData();
form.append("user", user);
form.append("file", new Blob(["hello"], { type: "text/plain" }), "a.txt");
const uploaded = await chat.fileUpload(form);
const said = (await chat.createChatMessage({}, "Hi", user)).data;
const talk = said.conversation_id;
const streamed = await readStream(await chat.createChatMessage({}, "Hi", user, true, talk));
const liked = await chat.messageFeedback(said.message_id, "like", user);
const renamed = await chat.renameConversation(talk, "Greeting", user, false);
const history = (await chat.getConversationMessages(user, talk)).data;
const listed = (await chat.getConversations(user)).data;
const deleted = await chat.deleteConversation(talk, user);
const refusal = await chat.getConversationMessages(user, talk).catch((error) => error.response);

const completion = new CompletionClient(completionKey, baseUrl);
const whole = (await completion.createCompletionMessage({ query: "Hi" }, user)).data;
const parts = await readStream(await completion.createCompletionMessage({ query: "Hi" }, user, true));

const workflow = new CompletionClient(workflowKey, baseUrl);
const ran = (await workflow.runWorkflow({ q: "Hi" }, user)).data;
const told = await readStream(await workflow.runWorkflow({ q: "Hi" }, user, true));

console.log(
  JSON.stringify({
    opening: parameters.data.opening_statement,
    uploaded: [uploaded.status, uploaded.data.name],
    answers: [said.answer, answerOf(streamed)],
    liked: liked.data,
    renamed: renamed.data.name,
    history: history.data.map((turn) => [turn.query, turn.answer, turn.feedback]),
    listed: listed.data.map((item) => item.name),
    deleted: deleted.status,
    refused: [refusal.status, refusal.data.code],
    completions: [whole.answer, answerOf(parts)],
    runs: [ran.data.outputs, told.at(-1).data.outputs],
  }),
);
