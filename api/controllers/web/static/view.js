/** Shows messages: what was asked, what is answered while it comes, what it was answered from. */
import { post } from "./client.js";
import { isFile, link, render, safeAddress } from "./markdown.js";
import { say } from "./texts.js";

export function make(name, { text, title, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  if (title) {
    made.title = title;
    made.setAttribute("aria-label", title);
  }
  made.append(...children);
  return made;
}

export function showQuestion(into, text, files = []) {
  const box = make("div", { className: "message question", text });
  for (const file of files) box.append(make("div", {}, fileChip(file)));
  if (text || files.length) into.append(box);
}

function fileChip(file) {
  const name = file.filename || file.name || file.url || "";
  return make("span", { className: "file" }, file.url ? link(name, file.url) : name);
}

/** An answer: grows while its run tells of it. */
export class Answer {
  constructor(into) {
    this.text = "";
    this.body = make("div", { className: "body" });
    this.box = make("article", { className: "message answer running" }, this.body);
    this.steps = null;
    this.drawn = true;
    into.append(this.box);
  }

  add(text) {
    this.set(this.text + text);
  }

  /** Show a text, at most once a frame. */
  set(text) {
    this.text = text;
    if (!this.drawn) return;
    this.drawn = false;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawn = true;
    render(this.text, this.body);
    this.onGrow?.();
  }

  step(id, title, state) {
    this.steps ||= this.fold(say("steps"), make("ol"));
    let line = [...this.steps.children].find((child) => child.dataset.id === id);
    if (!line) {
      line = make("li");
      line.dataset.id = id;
      this.steps.append(line);
    }
    line.textContent = `${{ running: "…", succeeded: "✓", failed: "✗", exception: "✗" }[state] || "·"} ${title}`;
  }

  fold(title, content) {
    const details = make("details", {}, make("summary", { text: title }), content);
    this.box.append(details);
    return content;
  }

  cite(resources) {
    if (!resources?.length) return;
    const rows = resources.map((item) => make("li", {},
      make("span", { text: item.document_name || "" }), make("blockquote", { text: item.content || "" })));
    this.fold(`${say("sources")} (${resources.length})`, make("ol", { className: "sources" }, ...rows));
  }

  attach(files) {
    for (const file of files || []) {
      const address = file.url && safeAddress(file.url);
      if (file.type === "image" && address && isFile(address)) {
        this.box.append(make("img", { src: address.href, alt: file.filename || "" }));
      } else this.box.append(make("div", {}, fileChip(file)));
    }
  }

  fail(message) {
    this.box.append(make("p", { className: "error", text: message }));
    this.end();
  }

  end() {
    this.box.classList.remove("running");
    this.draw();
  }

  /** Let the guest judge the answer; pressing again takes it back. */
  rate(messageId, given = null) {
    let rating = given;
    const buttons = { like: make("button", { type: "button", text: "👍", title: say("like") }),
      dislike: make("button", { type: "button", text: "👎", title: say("dislike") }) };
    const show = () => {
      for (const [word, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(word === rating));
    };
    for (const [word, button] of Object.entries(buttons)) {
      button.className = word;
      button.addEventListener("click", async () => {
        const wanted = rating === word ? null : word;
        await post(`messages/${messageId}/feedbacks`, { rating: wanted }).then(() => { rating = wanted; }, () => {});
        show();
      });
    }
    show();
    this.box.append(make("div", { className: "tools" }, buttons.like, buttons.dislike));
  }
}
