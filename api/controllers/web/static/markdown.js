/**
 * Markdown as elements. Every text becomes a text node and every element is one of those made here,
 * so that nothing a model writes can be code: HTML in it is shown as it was written.
 */
const MAX_DEPTH = 8;
const INLINE = new RegExp([
  "\\\\([!-/:-@[-`{-~])",                                           // 1 escaped
  "(`+)([^`](?:[\\s\\S]{0,4000}?[^`])?)\\2(?!`)",                   // 2, 3 code
  "(!?)\\[([^\\[\\]\\n]{0,500})\\]\\(\\s{0,3}<?([^\\s()<>]{1,2000}(?:\\([^\\s()<>]{0,500}\\)[^\\s()<>]{0,500})?)>?(?:\\s+\"[^\"\\n]{0,300}\")?\\s{0,3}\\)", // 4, 5, 6
  "\\*\\*(?=\\S)([^\\n]{1,2000}?\\S)\\*\\*",                        // 7 strong
  "~~(?=\\S)([^\\n]{1,2000}?\\S)~~",                                // 8 struck
  "\\*(?=[^\\s*])([^*\\n]{0,1000}?[^\\s*])\\*(?!\\*)",              // 9 emphasis
  "(?<![\\w_])_(?=[^\\s_])([^_\\n]{0,1000}?[^\\s_])_(?![\\w_])",    // 10 emphasis
  "<?(https?:\\/\\/[^\\s<>\"'`]{1,2000}[^\\s<>\"'`.,;:!?)\\]])>?",  // 11 bare address
].join("|"), "g");

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** Return an address that may be followed, or null. */
export function safeAddress(text) {
  try {
    const address = new URL(text, location.href);
    return ["http:", "https:", "mailto:"].includes(address.protocol) ? address : null;
  } catch {
    return null;
  }
}

export function link(text, target) {
  const address = safeAddress(target);
  if (!address) return document.createTextNode(text);
  const made = element("a", text);
  made.href = address.href;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  return made;
}

/** Where files lie: beside this page, and at the address this server is known by, which may be another. */
const FILES = [new URL("../files/", location.href)];
const known = document.querySelector('meta[name="files"]').content;
if (known) FILES.push(new URL(known));

// A picture is fetched unasked, so only from where files lie: any other address could be told something.
// The page's policy (api/controllers/web/pages.py) names the same places.
export function isFile(address) {
  return FILES.some((files) => address.origin === files.origin && address.pathname.startsWith(files.pathname));
}

/** An image of this server; one from elsewhere is a link, so that reading an answer calls nobody. */
function image(alt, target) {
  const address = safeAddress(target);
  if (!address || !isFile(address)) return link(alt || target, target);
  const made = document.createElement("img");
  made.src = address.href;
  made.alt = alt;
  made.loading = "lazy";
  return made;
}

function inline(text, depth = 0) {
  const nodes = [];
  let at = 0;
  const deeper = (inner) => (depth < MAX_DEPTH ? inline(inner, depth + 1) : [inner]);
  for (const found of text.matchAll(INLINE)) {
    if (found.index > at) nodes.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    const [, escaped, , code, bang, label, target, strong, struck, star, under, bare] = found;
    if (escaped !== undefined) nodes.push(escaped);
    else if (code !== undefined) nodes.push(element("code", code.trim() || code));
    else if (target !== undefined) nodes.push(bang ? image(label, target) : link(label || target, target));
    else if (strong !== undefined) nodes.push(element("strong", ...deeper(strong)));
    else if (struck !== undefined) nodes.push(element("del", ...deeper(struck)));
    else if (star !== undefined || under !== undefined) nodes.push(element("em", ...deeper(star ?? under)));
    else nodes.push(link(bare, bare));
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

function paragraph(lines) {
  const made = document.createElement("p");
  lines.forEach((line, number) => {
    if (number) made.append(document.createElement("br"));
    made.append(...inline(line.trim()));
  });
  return made;
}

// Each of these is linear: a text of the model must not be able to stop the page.
const FENCE = /^ {0,3}(`{3,}|~{3,}(?!~))[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(\S.*))?$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const TABLE_RULE = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$/;
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

const heading = (text) => text.trimEnd().replace(/(?<=\s)#+$/, "").trimEnd();

function fenced(lines, at, into) {
  const [, mark] = FENCE.exec(lines[at]);
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(mark)) end += 1;
  into.append(element("pre", element("code", lines.slice(at + 1, end).join("\n"))));
  return end + 1;
}

function table(lines, at, into) {
  const row = (line, name) => element("tr", ...cells(line).map((cell) => element(name, ...inline(cell))));
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
  const body = lines.slice(at + 2, end).map((line) => row(line, "td"));
  const made = element("table", element("thead", row(lines[at], "th")), element("tbody", ...body));
  const scroller = element("div", made);
  scroller.className = "table";
  into.append(scroller);
  return end;
}

function quote(lines, at, into, depth) {
  let end = at;
  const inner = [];
  while (end < lines.length && QUOTE.test(lines[end])) inner.push(QUOTE.exec(lines[end++])[1]);
  const made = document.createElement("blockquote");
  blocks(inner, made, depth + 1);
  into.append(made);
  return end;
}

function list(lines, at, into, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const made = document.createElement(ordered ? "ol" : "ul");
  if (ordered) made.start = parseInt(mark, 10);
  let end = at;
  while (end < lines.length) {
    const found = ITEM.exec(lines[end]);
    if (!found || found[1].length !== indent.length || /\d/.test(found[2]) !== ordered) break;
    const inner = [found[3]];
    end += 1;
    while (end < lines.length && belongs(lines, end, indent.length)) inner.push(lines[end++].slice(indent.length + 2));
    const item = document.createElement("li");
    blocks(inner, item, depth + 1);
    if (item.children.length === 1 && item.firstChild.nodeName === "P") item.replaceChildren(...item.firstChild.childNodes);
    made.append(item);
    while (end < lines.length - 1 && !lines[end].trim() && ITEM.test(lines[end + 1])) end += 1;
  }
  into.append(made);
  return end;
}

/** Tell whether a line goes on with the item above it: it is indented further. */
function belongs(lines, at, indent) {
  const line = lines[at].trim() ? lines[at] : lines[at + 1] || "";
  return line.trim() !== "" && line.search(/\S/) >= indent + 2;
}

function starts(line, next = "") {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || ITEM.test(line) || QUOTE.test(line)
    || (line.includes("|") && TABLE_RULE.test(next.trim()));
}

function blocks(lines, into, depth) {
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) at += 1;
    else if (FENCE.test(line)) at = fenced(lines, at, into);
    else if (HEADING.test(line)) {
      const [, marks, text] = HEADING.exec(line);
      into.append(element(`h${marks.length}`, ...inline(heading(text || ""))));
      at += 1;
    } else if (RULE.test(line)) {
      into.append(document.createElement("hr"));
      at += 1;
    } else if (depth < MAX_DEPTH && QUOTE.test(line)) at = quote(lines, at, into, depth);
    else if (depth < MAX_DEPTH && ITEM.test(line)) at = list(lines, at, into, depth);
    else if (line.includes("|") && TABLE_RULE.test((lines[at + 1] || "").trim())) at = table(lines, at, into);
    else {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !starts(lines[end], lines[end + 1])) end += 1;
      into.append(paragraph(lines.slice(at, end)));
      at = end;
    }
  }
}

/** Put a text's elements in place of what an element holds. */
export function render(text, into) {
  const made = document.createDocumentFragment();
  blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), made, 0);
  into.replaceChildren(made);
}
