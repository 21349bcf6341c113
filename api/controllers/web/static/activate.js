/** Takes up an invitation: shows what it offers, asks for a name and a password, and tells how it went. */
import { say, setLanguage } from "./texts.js";

const part = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") || "";

async function call(path, body) {
  const sent = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(`console/api/${path}`, sent || {});
  } catch {
    throw new Error(say("offline"));
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.message || say("failed"));
  return told;
}

function show(title, about) {
  part("title").textContent = document.title = title;
  part("about").textContent = about;
}

async function join(offer) {
  part("notice").textContent = "";
  part("join").disabled = true;
  try {
    await call("activate", {
      token,
      name: part("name").value,
      password: part("password").value,
      interface_language: document.documentElement.lang.startsWith("zh") ? "zh-Hans" : "en-US",
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    });
    part("inputs").hidden = true;
    show(offer.workspace_name, say("joined"));
  } catch (fault) {
    part("notice").textContent = fault.message;
  } finally {
    part("join").disabled = false;
  }
}

async function start() {
  setLanguage(navigator.language);
  let found;
  try {
    found = await call(`activate/check?token=${encodeURIComponent(token)}`);
  } catch (fault) {
    return show(say("invitation"), fault.message);
  }
  if (!found.is_valid) return show(say("invitation"), say("invitationOver"));
  show(found.data.workspace_name, `${found.data.email} — ${say("invited")}`);
  for (const name of ["name", "password"]) part(`${name}-label`).textContent = say(name);
  part("join").textContent = say("join");
  part("inputs").addEventListener("submit", (event) => {
    event.preventDefault();
    join(found.data);
  });
  part("inputs").hidden = false;
}

start();
