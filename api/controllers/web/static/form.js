/** The form of an app's variables: drawn from what the app tells, read back as its inputs. */
import { upload } from "./client.js";
import { say } from "./texts.js";

export function kindOf(file) {
  const kind = file.type.split("/")[0];
  return ["image", "audio", "video"].includes(kind) ? kind : "document";
}

/** Upload files, by ``keep``; return them as the API takes them. */
export async function sendFiles(files, keep = upload) {
  const sent = [];
  for (const file of files) {
    const kept = await keep(file);
    sent.push({ type: kindOf(file), transfer_method: "local_file", upload_file_id: kept.id, name: file.name });
  }
  return sent;
}

export const toInput = ({ name: _name, ...file }) => file;

function field(kind, item) {
  let made;
  if (kind === "paragraph" || kind === "json_object") {
    made = document.createElement("textarea");
    made.rows = 3;
  } else if (kind === "select") {
    made = document.createElement("select");
    made.append(new Option(say("choose"), ""), ...(item.options || []).map((option) => new Option(option, option)));
  } else {
    made = document.createElement("input");
    made.type = { number: "number", checkbox: "checkbox", file: "file", "file-list": "file" }[kind] || "text";
    if (kind === "number") made.step = "any";
    if (kind === "file-list") made.multiple = true;
  }
  made.name = `input-${item.variable}`; // by its own name it could stand for a property of the form
  if (item.max_length && "maxLength" in made && made.type !== "number") made.maxLength = item.max_length;
  if (made.type === "checkbox") made.checked = item.default === true || item.default === "true";
  else if (made.type !== "file" && item.default != null) made.value = String(item.default);
  return made;
}

export function drawForm(items, into) {
  into.replaceChildren();
  into.fields = [];
  for (const entry of items) {
    const [kind, item] = Object.entries(entry)[0];
    if (kind === "external_data_tool" || item.hide) continue;
    const input = field(kind, item);
    const label = document.createElement("label");
    const name = `${item.label || item.variable}${item.required ? " *" : ""}`;
    if (kind === "checkbox") {
      label.className = "check";
      label.append(input, name);
    } else label.append(name, input);
    into.append(label);
    into.fields.push({ kind, item, input });
  }
  into.hidden = into.fields.length === 0;
}

/** Return the inputs as the form has them; throws a sentence where something is missing. */
export async function readForm(form, keep = upload) {
  const inputs = {};
  for (const { kind, item, input } of form.fields || []) {
    let value = input.value;
    if (kind === "checkbox") value = input.checked;
    else if (kind === "number") value = value === "" ? null : Number(value);
    else if (kind === "file" || kind === "file-list") {
      const files = (await sendFiles(input.files, keep)).map(toInput);
      value = kind === "file" ? files[0] || null : files;
    } else if (kind === "json_object") value = value.trim() ? JSON.parse(value) : null;
    const isEmpty = value === null || value === "" || (Array.isArray(value) && !value.length);
    if (isEmpty && item.required) {
      input.focus();
      throw new Error(say("required"));
    }
    if (!isEmpty) inputs[item.variable] = value;
  }
  return inputs;
}
