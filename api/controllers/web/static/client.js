/** Speaks to the server as a guest: passport, JSON, uploads, streams. */
const API = new URL("../api/", location.href);
const CODE = decodeURIComponent(location.pathname.replace(/\/+$/, "").split("/").pop());
const USER = new URLSearchParams(location.search).get("user_id") || "";
const KEPT = `passport:${CODE}:${USER}`;
let passport = null;

export class Refused extends Error {
  constructor(status, body) {
    super(body && body.message ? body.message : `HTTP ${status}`);
    this.status = status;
    this.code = body && body.code;
  }
}

function kept() {
  try { return localStorage.getItem(KEPT); } catch { return null; }
}

function keep(token) {
  try { token ? localStorage.setItem(KEPT, token) : localStorage.removeItem(KEPT); } catch { /* private window */ }
}

async function letIn() {
  const address = new URL("passport", API);
  if (USER) address.searchParams.set("user_id", USER);
  const answer = await fetch(address, { headers: { "X-App-Code": CODE } });
  if (!answer.ok) throw await refusal(answer);
  passport = (await answer.json()).access_token;
  keep(passport);
}

async function refusal(answer) {
  return new Refused(answer.status, await answer.json().catch(() => null));
}

/** Return the answer of a route; a passport that ended is replaced once. */
async function ask(method, path, { query = {}, json, form, signal } = {}, again = true) {
  passport ||= kept();
  if (!passport) await letIn();
  const address = new URL(path, API);
  for (const [name, value] of Object.entries(query)) if (value != null) address.searchParams.set(name, value);
  const headers = { "X-App-Code": CODE, "X-App-Passport": passport };
  if (json) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { method, headers, signal, body: json ? JSON.stringify(json) : form });
  if (answer.status === 401 && again) {
    passport = null;
    keep(null);
    return ask(method, path, { query, json, form, signal }, false);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export const get = async (path, query) => (await ask("GET", path, { query })).json();
export const post = async (path, json) => (await ask("POST", path, { json })).json();
export const remove = (path) => ask("DELETE", path);

export async function upload(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  return (await ask("POST", "files/upload", { form })).json();
}

/** Yield the events of a run as they come, without sound: nothing here plays it. */
export async function* stream(path, json) {
  const answer = await ask("POST", path, { json: { ...json, response_mode: "streaming", read_aloud: false } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) if (frame.startsWith("data: ")) yield JSON.parse(frame.slice(6));
  }
}
