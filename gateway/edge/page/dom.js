// Everything that the page shows is made here, of elements and text. A text never becomes HTML, whoever wrote it; the policy that the
// page is served with (trusted types) would refuse it too.

const listening = new WeakSet(); // elements with a listener

// h makes an element. Of props, functions are listeners ("onclick"), "class" is the class, "share" a number from 0 to 1 that the
// style sheet draws as the length of a bar, true and false set and leave out an attribute; the rest are attributes. Children are
// elements, texts, numbers or arrays of them; null, undefined and false are nothing.
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") {
      node.addEventListener(name.slice(2), value);
      listening.add(node);
    } else if (name === "class") node.className = value;
    else if (name === "share") node.style.setProperty("--share", String(Math.min(1, Math.max(0, value))));
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...parts(children));
  return node;
}

function parts(children) {
  return children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false);
}

// show puts these children in the place of what a node holds.
export function show(node, ...children) {
  node.replaceChildren(...parts(children));
  return node;
}

// renew puts these children in the place of what a node holds, but leaves alone what is the same: so the focus, a click in progress and
// the place of a reader stay where they are while the page looks again by itself. Of elements with a "data-key", only one with the same
// key is the same; one that listens and changes is another, for what it hears changes too.
export function renew(node, ...children) {
  let old = node.firstChild;
  const drop = (until) => {
    while (old !== until) {
      const gone = old;
      old = old.nextSibling;
      gone.remove();
    }
  };
  for (const fresh of [...h("div", {}, children).childNodes]) {
    const key = fresh.dataset?.key;
    let same = old;
    if (key !== undefined) while (same && same.dataset?.key !== key) same = same.nextSibling;
    const equal = same?.isEqualNode(fresh);
    if (!equal && (!same || same.dataset?.key !== key || same.nodeName !== fresh.nodeName || listening.has(fresh) || fresh.style?.length)) {
      node.insertBefore(fresh, old); // what stood here is dropped below, or found later under its key
      continue;
    }
    drop(same);
    old = same.nextSibling;
    if (equal) continue;
    if (same.nodeType === Node.TEXT_NODE) { same.data = fresh.data; continue; }
    for (const { name } of [...same.attributes]) if (!fresh.hasAttribute(name)) same.removeAttribute(name);
    for (const { name, value } of fresh.attributes) same.setAttribute(name, value);
    renew(same, [...fresh.childNodes]);
  }
  drop(null);
}

// say tells a screen reader what happened.
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = "";
  setTimeout(() => (status.textContent = text), 50); // the same text again is news too
}

// problem shows an error in words. Whatever can be done about it is a button.
export function problem(error, ...actions) {
  return h("div", { class: "problem", role: "alert" }, h("p", {}, error.message ?? String(error)), actions.some(Boolean) && h("p", { class: "actions" }, actions));
}

export const button = (label, onclick, props) => h("button", { type: "button", onclick, ...props }, label);

let ids = 0;

// field is an input with its label. input is an element without id.
export function field(label, input, hint) {
  input.id = `field-${++ids}`;
  if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, hint && h("p", { class: "hint", id: `${input.id}-hint` }, hint));
}

// choice is a select of [value, label] pairs.
export function choice(pairs, chosen, props) {
  return h("select", props, pairs.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
}

// table makes a table. Cells of the head that begin with "#" are of columns of numbers; the first column names its row.
export function table(caption, head, rows, props) {
  const numbers = head.map((c) => c.startsWith("#"));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", props,
      h("caption", {}, h("span", {}, caption)),
      h("thead", {}, h("tr", {}, head.map((c, i) => h("th", { scope: "col", class: numbers[i] && "number" }, c.replace("#", ""))))),
      h("tbody", {}, rows.map(({ cells, ...row }) => h("tr", row, cells.map((c, i) => h(i === 0 ? "th" : "td", { scope: i === 0 && "row", class: numbers[i] && "number" }, c)))))));
}

// sheet opens a dialog and returns its element; closing it removes it, and the browser gives the focus back.
export function sheet(title, ...children) {
  const dialog = h("dialog", { "aria-label": title, onclose: () => dialog.remove() }, h("h2", {}, title), children);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// confirmed asks before something that others notice or that cannot be taken back; effect says what it does.
export function confirmed(question, label, effect) {
  return new Promise((resolve) => {
    const dialog = sheet(question, effect && h("p", {}, effect), h("p", { class: "actions" },
      button(label, () => { resolve(true); dialog.close(); }, { class: "strong" }),
      button("Cancel", () => dialog.close(), { autofocus: true })));
    dialog.addEventListener("close", () => resolve(false));
  });
}

const grouped = new Intl.NumberFormat("en");

// entry is a name and a value of a <dl>; nothing where there is no value.
export const entry = (name, value) => value !== undefined && value !== "" && [h("dt", {}, name), h("dd", {}, value)];

// count is a whole number as people read it; protobuf's JSON has 64-bit numbers as strings.
export const count = (n) => grouped.format(BigInt(n ?? 0));

// plural is a count with its noun.
export const plural = (n, one, many = one + "s") => `${count(n)} ${BigInt(n ?? 0) === 1n ? one : many}`;

// percent is a probability with two significant digits, so that small ones stay apart.
export function percent(p) {
  if (p === 0 || p === undefined) return "0";
  if (p > 0.999) return p >= 1 - 1e-9 ? "100%" : "> 99.9%";
  if (p < 1e-6) return p.toExponential(1);
  return `${Number((p * 100).toPrecision(p < 0.1 ? 2 : 3))}%`;
}

// figure is a number of a row, with so many significant digits that it can be recognised.
export const figure = (x, digits = 4) => (x === undefined || x === null ? "–" : String(Number(x.toPrecision(digits))));

// log is a logarithm, with a minus that is as wide as a plus.
export const log = (x, digits = 4) => (x === undefined || x === null ? "–" : x.toFixed(digits).replace(/^-0\.0+$/, (s) => s.slice(1)).replace("-", "−"));

// moment is a time of the server in the reader's zone.
export function moment(time) {
  if (!time) return null;
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  const text = new Intl.DateTimeFormat(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" }).format(at);
  return h("time", { datetime: time, title: at.toLocaleString() }, text);
}

// copied is a button that copies a text; where the browser forbids it, it selects the text to be copied by hand.
export function copied(node) {
  return button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(node.textContent);
      say("Copied");
    } catch {
      getSelection().selectAllChildren(node);
      say("Selected: copy it with the keyboard");
    }
  }, { class: "quiet" });
}
