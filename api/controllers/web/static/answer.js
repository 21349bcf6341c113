/** Answers a form that a run waits for: shows what is asked, sends what is filled in, and tells how it went. */
import { drawForm, readForm } from "./form.js";
import { render } from "./markdown.js";
import { say, setLanguage } from "./texts.js";

const part = (id) => document.getElementById(id);
const HERE = `${location.pathname.replace(/\/+$/, "")}/`;

async function call(name, sent) {
  let answer;
  try {
    answer = await fetch(HERE + name + location.search, sent);
  } catch {
    throw new Error(say("offline"));
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.message || say("failed"));
  return told;
}

function upload(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  return call("files", { method: "POST", body: form });
}

async function send(action) {
  part("notice").textContent = "";
  const buttons = [...part("actions").children];
  for (const button of buttons) button.disabled = true;
  try {
    const inputs = await readForm(part("inputs"), upload);
    const body = JSON.stringify({ inputs, action });
    await call("answer", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    part("inputs").hidden = true;
    part("actions").replaceChildren();
    part("content").textContent = say("answered");
  } catch (fault) {
    part("notice").textContent = fault.message;
    for (const button of buttons) button.disabled = false;
  }
}

function toItem({ type, output_variable_name: variable, required, options }, defaults) {
  return { [type]: { variable, required, options, default: type.startsWith("file") ? null : defaults[variable] } };
}

async function start() {
  setLanguage(navigator.language);
  document.title = say("asked");
  let form;
  try {
    form = await call("asked");
  } catch (fault) {
    part("notice").textContent = fault.message;
    return;
  }
  render(form.form_content.replace(/\{\{#\$output\.\w+#\}\}/g, "…"), part("content"));
  drawForm(form.inputs.map((input) => toItem(input, form.resolved_default_values)), part("inputs"));
  for (const { id, title, button_style: style } of form.user_actions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title || id;
    if (style === "primary") button.className = "main";
    button.addEventListener("click", () => send(id));
    part("actions").append(button);
  }
}

part("inputs").addEventListener("submit", (event) => event.preventDefault());
start().finally(() => {
  document.body.dataset.ready = "yes";
});
