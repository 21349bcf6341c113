/** The page of one app: what it shows, and what its guest does with it. */
import { Refused, get, post, remove, stream } from "./client.js";
import { drawForm, readForm, sendFiles, toInput } from "./form.js";
import { safeAddress } from "./markdown.js";
import { say, setLanguage } from "./texts.js";
import { Answer, make, showQuestion } from "./view.js";

const $ = (id) => document.getElementById(id);
const ROUTES = { completion: "completion-messages", workflow: "workflows/run" };
const STOPS = { completion: "completion-messages/", workflow: "workflows/tasks/" };
const state = { site: {}, parameters: {}, mode: "chat", talk: null, last: null, task: null, busy: false, picked: [] };
const isChat = () => !(state.mode in ROUTES);

async function begin() {
  try {
    const told = await get("site");
    state.site = told.site;
    state.mode = told.mode;
    setLanguage(state.site.default_language);
    state.parameters = await get("parameters");
  } catch (error) {
    return complain(error);
  }
  dress();
  restart();
  if (isChat()) await listTalks();
  document.body.dataset.ready = "true";
}

// -- what stays on the page ----------------------------------------------------------------------

function dress() {
  const { site } = state;
  document.title = site.title;
  $("title").textContent = site.title;
  if (/^#[0-9a-f]{3,8}$/i.test(site.chat_color_theme || "")) {
    document.documentElement.style.setProperty("--accent", site.chat_color_theme);
  }
  const icon = $("icon");
  icon.style.background = site.icon_background || "";
  if (site.icon_url) icon.append(make("img", { src: site.icon_url, alt: "" }));
  else icon.textContent = site.icon_type === "emoji" && !/^[\w+-]+$/.test(site.icon || "") ? site.icon : "💬";
  for (const [id, name] of Object.entries({ send: "send", stop: "stop", attach: "attach", menu: "menu" })) {
    $(id).title = say(name);
    $(id).setAttribute("aria-label", say(name));
  }
  $("new").textContent = `+ ${say("newChat")}`;
  $("more").textContent = say("more");
  $("query").placeholder = site.input_placeholder || say("ask");
  $("query").setAttribute("aria-label", say("ask"));
  $("composer").hidden = false;
  $("sidebar").hidden = $("menu").hidden = !isChat();
  if (!isChat()) {
    $("query").hidden = state.mode === "workflow";
    $("send").textContent = say("run");
  }
  drawFooter();
  const files = state.parameters.file_upload || {};
  $("attach").hidden = state.mode === "workflow" || !(files.enabled || files.image?.enabled);
  if (!files.enabled) $("pick").accept = "image/*";
}

function drawFooter() {
  const { copyright, custom_disclaimer: disclaimer, privacy_policy: policy } = state.site;
  const parts = [copyright, disclaimer].filter(Boolean).map((text) => make("span", { text: `${text} ` }));
  const address = policy && safeAddress(policy);
  if (address) parts.push(make("a", { href: address.href, text: say("privacy"), target: "_blank", rel: "noopener noreferrer" }));
  $("footer").replaceChildren(...parts);
}

function complain(error) {
  const isOurs = error instanceof Refused || error.name === "Error";
  $("notice").textContent = isOurs ? error.message : say(error instanceof TypeError ? "offline" : "failed");
  $("notice").hidden = false;
}

// -- conversations -------------------------------------------------------------------------------

function restart() {
  state.talk = state.last = null;
  $("messages").replaceChildren();
  drawForm(state.parameters.user_input_form || [], $("inputs"));
  drawIntro();
  for (const item of $("conversations").children) item.removeAttribute("aria-current");
  showSidebar(false);
}

function drawIntro() {
  const { opening_statement: opening, suggested_questions: suggested } = state.parameters;
  $("intro").replaceChildren();
  if (state.site.description) $("intro").append(make("p", { text: state.site.description }));
  if (!isChat()) return;
  if (opening) {
    const greeting = new Answer($("intro"));
    greeting.add(opening);
    greeting.end();
  }
  const buttons = (suggested || []).filter(Boolean).map((text) => make("button", { type: "button", text, onclick: () => send(text) }));
  $("intro").append(make("div", { className: "suggestions" }, ...buttons));
}

async function listTalks(after = null) {
  const page = await get("conversations", { limit: 30, last_id: after });
  if (!after) $("conversations").replaceChildren();
  for (const talk of page.data) $("conversations").append(talkItem(talk));
  $("more").hidden = !page.has_more;
  $("more").onclick = () => listTalks(page.data.at(-1).id).catch(complain);
}

function talkItem(talk) {
  const item = make("li", {},
    make("button", { type: "button", className: "open", text: talk.name, onclick: () => openTalk(talk, item) }),
    make("button", { type: "button", text: "×", title: say("remove"), onclick: () => removeTalk(talk, item) }));
  if (talk.id === state.talk) item.setAttribute("aria-current", "true");
  return item;
}

async function openTalk(talk, item) {
  if (state.busy) return;
  restart();
  $("inputs").hidden = true;
  $("intro").replaceChildren();
  state.talk = talk.id;
  item.setAttribute("aria-current", "true");
  try {
    await showHistory(talk.id);
  } catch (error) {
    complain(error);
  }
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

async function showHistory(talkId, first = null) {
  const page = await get("messages", { conversation_id: talkId, first_id: first, limit: 50 });
  const shown = make("div");
  for (const message of page.data) showMessage(shown, message);
  $("messages").prepend(shown);
  if (page.has_more) {
    const older = make("button", { type: "button", className: "wide quiet", text: say("more") });
    older.onclick = () => { older.remove(); showHistory(talkId, page.data[0].id).catch(complain); };
    shown.prepend(older);
  }
}

function showMessage(into, message) {
  const files = message.message_files || [];
  showQuestion(into, message.query, files.filter((file) => file.belongs_to !== "assistant"));
  const answer = new Answer(into);
  answer.add(message.answer);
  answer.attach(files.filter((file) => file.belongs_to === "assistant"));
  if (message.status === "error") answer.fail(message.error || say("failed"));
  else answer.end();
  answer.cite(message.retriever_resources);
  answer.rate(message.id, message.feedback?.rating);
}

async function removeTalk(talk, item) {
  if (!confirm(say("sure"))) return;
  try {
    await remove(`conversations/${talk.id}`);
    item.remove();
    if (state.talk === talk.id) restart();
  } catch (error) {
    complain(error);
  }
}

// -- runs ----------------------------------------------------------------------------------------

async function send(text) {
  if (state.busy || (isChat() && !text.trim() && !state.picked.length)) return;
  setBusy(true);
  $("notice").hidden = true;
  let answer = null;
  try {
    const inputs = $("inputs").hidden && state.talk ? {} : await readForm($("inputs"));
    const files = await sendFiles(state.picked);
    $("query").value = "";
    state.picked = [];
    drawPicked();
    fit();
    if (!isChat()) $("messages").replaceChildren();
    showQuestion($("messages"), state.mode === "workflow" ? "" : text, files);
    answer = new Answer($("messages"));
    answer.onGrow = stayBelow();
    await run(body(text, inputs, files.map(toInput)), answer);
  } catch (error) {
    const message = error instanceof Refused ? error.message : say(error instanceof TypeError ? "offline" : "failed");
    if (answer) answer.fail(message);
    else complain(error);
  } finally {
    setBusy(false);
  }
}

function body(query, inputs, files) {
  if (state.mode === "workflow") return { inputs };
  if (state.mode === "completion") return { query, inputs, files };
  return { query, inputs, files, conversation_id: state.talk || "", auto_generate_name: true };
}

async function run(sent, answer) {
  const isNew = isChat() && !state.talk;
  for await (const event of stream(ROUTES[state.mode] || "chat-messages", sent)) {
    state.task = event.task_id || state.task;
    if (event.conversation_id) state.talk = event.conversation_id;
    tell(event, answer);
  }
  answer.end();
  if (isNew && state.talk) {
    $("inputs").hidden = true;
    await listTalks();
  }
}

const TOLD = {
  message: (event, answer) => answer.add(event.answer),
  agent_message: (event, answer) => answer.add(event.answer),
  message_replace: (event, answer) => answer.set(event.answer),
  text_chunk: (event, answer) => answer.add(event.data.text),
  text_replace: (event, answer) => answer.set(event.data.text),
  message_file: (event, answer) => answer.attach([event]),
  agent_thought: (event, answer) => { if (event.tool) answer.step(event.id, event.tool, event.observation ? "succeeded" : "running"); },
  node_started: (event, answer) => showStep(event, answer, "running"),
  node_finished: (event, answer) => showStep(event, answer, event.data.status),
  human_input_required: (event, answer) => answer.step("form", say("waits"), "running"),
  message_end: (event, answer) => {
    answer.attach(event.files);
    answer.cite(event.metadata?.retriever_resources);
    if (event.message_id) answer.rate(event.message_id);
  },
  workflow_finished: (event, answer) => { if (!isChat()) showOutputs(event.data, answer); },
  error: (event, answer) => answer.fail(event.message || say("failed")),
};

function tell(event, answer) {
  TOLD[event.event]?.(event, answer);
}

function showStep(event, answer, status) {
  if (state.site.show_workflow_steps) answer.step(event.data.id, event.data.title, status);
}

function showOutputs(data, answer) {
  if (data.error) answer.fail(data.error);
  else if (data.status === "stopped") answer.fail(say("stopped"));
  else if (!answer.text) answer.set(outputsText(data.outputs || {}));
}

/** Return outputs as text: the only one as it is, several under their names. */
function outputsText(outputs) {
  const shown = Object.entries(outputs).map(([name, value]) =>
    [name, typeof value === "string" ? value : `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``]);
  return shown.length === 1 ? shown[0][1] : shown.map(([name, text]) => `**${name}**\n\n${text}`).join("\n\n");
}

async function stop() {
  if (!state.task) return;
  await post(`${STOPS[state.mode] || "chat-messages/"}${state.task}/stop`).catch(complain);
}

// -- small things --------------------------------------------------------------------------------

function setBusy(isBusy) {
  state.busy = isBusy;
  if (isBusy) state.task = null;
  $("send").hidden = isBusy;
  $("stop").hidden = !isBusy;
}

/** Return what keeps the end in view while an answer grows, unless the guest has scrolled away. */
function stayBelow() {
  const box = $("scroll");
  box.scrollTop = box.scrollHeight;
  let last = box.scrollTop;
  return () => {
    if (box.scrollTop < last - 40) return;
    box.scrollTop = box.scrollHeight;
    last = box.scrollTop;
  };
}

function drawPicked() {
  $("files").replaceChildren(...state.picked.map((file, number) => make("li", {}, file.name,
    make("button", { type: "button", text: "×", title: say("remove"), onclick: () => { state.picked.splice(number, 1); drawPicked(); } }))));
}

function fit() {
  const box = $("query");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function showSidebar(isShown) {
  $("sidebar").classList.toggle("shown", isShown);
  $("shade").hidden = !isShown;
  $("menu").setAttribute("aria-expanded", String(isShown));
}

$("composer").addEventListener("submit", (event) => { event.preventDefault(); send($("query").value); });
$("inputs").addEventListener("submit", (event) => event.preventDefault());
$("query").addEventListener("input", fit);
$("query").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send($("query").value);
});
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", () => { if (!state.busy) restart(); });
$("menu").addEventListener("click", () => showSidebar(!$("sidebar").classList.contains("shown")));
$("shade").addEventListener("click", () => showSidebar(false));
$("attach").addEventListener("click", () => $("pick").click());
$("pick").addEventListener("change", () => {
  state.picked.push(...$("pick").files);
  $("pick").value = "";
  drawPicked();
});
begin();
