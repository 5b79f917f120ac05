// One message. A reply's words lead into the glass box, and what is wrong in it can be corrected.
import { ask, newId } from "./api.js";
import { button, choice, field, h, moment, problem, say, show } from "./dom.js";
import * as glass from "./glass.js";
import { settings, tenant } from "./settings.js";

const endings = { length: "broke off: it reached the longest reply allowed", cancelled: "stopped", error: "broke off", stop_sequence: "ended at a stop sequence" };

// message shows a stored message. reply is the whole answer when it came just now: it tells what was missing and what was noticed.
export function message(m, context, reply) {
  if (m.sender === "SENDER_USER") {
    const node = h("li", { class: "said" }, h("span", { class: "unseen" }, "You: "), h("p", { class: "text", dir: "auto" }, m.content), m.createTime && h("p", { class: "meta" }, moment(m.createTime)));
    node.dataset.text = m.content;
    return node;
  }
  const text = h("p", { class: "text", dir: "auto" }, words(m.content ?? ""));
  const below = h("div");
  const look = button("Look inside", () => glass.open(m, undefined, look), { class: "quiet" });
  const correct = button("Correct", () => {
    if (below.firstChild) { show(below); correct.focus(); return; }
    correction(below, m, selected(text), context, correct);
  }, { class: "quiet", "aria-expanded": "false" });
  text.addEventListener("click", (event) => {
    const word = event.target.closest(".word");
    if (word && getSelection().isCollapsed) glass.open(m, Number(word.dataset.at), look);
  });
  const node = h("li", { class: "reply" }, h("span", { class: "unseen" }, "Reply: "),
    m.content ? text : h("p", { class: "text hint" }, "It said nothing."),
    notes(reply),
    h("p", { class: "meta" }, moment(m.createTime), endings[m.finishReason] && ` · ${endings[m.finishReason]}`, look, correct),
    below);
  const watch = () => {
    if (!node.isConnected) return document.removeEventListener("selectionchange", watch);
    const marked = selected(text);
    correct.textContent = marked && marked.length < 40 ? `Correct “${marked}”` : "Correct";
  };
  queueMicrotask(() => setTimeout(() => document.addEventListener("selectionchange", watch)));
  return node;
}

// words are the words of a text with the spaces between them, each with its place.
function words(text) {
  if (text.length > 50_000) return [text]; // the glass box shows its tokens all the same
  const out = [];
  let at = 0;
  for (const piece of text.split(/(\s+)/)) {
    if (piece && !/^\s/.test(piece)) {
      const word = h("span", { class: "word" }, piece);
      word.dataset.at = at;
      out.push(word);
    } else out.push(piece);
    at += piece.length;
  }
  return out;
}

function selected(text) {
  const selection = getSelection();
  if (selection.isCollapsed || !text.contains(selection.anchorNode) || !text.contains(selection.focusNode)) return "";
  return selection.toString().trim().replace(/[.,;:!?]+$/, "");
}

function notes(reply) {
  if (!reply) return null;
  const lost = reply.trace?.degradations ?? [];
  const noticed = reply.noticed?.correction?.fact;
  return [
    lost.map((d) => h("p", { class: "note" }, `Without ${d.service}: ${d.effect || d.reason}`)),
    noticed && h("p", { class: "note" }, "Taken as a correction: ", h("b", {}, noticed.value), ". ", h("a", { href: "#/memory" }, "See corrections")),
  ];
}

// correction asks what is wrong and what is right, and has it said.
function correction(below, m, marked, context, opener) {
  let id = newId();
  const wrong = h("input", { value: marked, dir: "auto", maxlength: 4096, autocomplete: "off" });
  const right = h("input", { dir: "auto", required: true, maxlength: 4096, autocomplete: "off" });
  const about = h("input", { maxlength: 512, autocomplete: "off" });
  const property = h("input", { maxlength: 512, autocomplete: "off" });
  const scope = choice([
    ["SCOPE_CONVERSATION", "in this conversation"],
    ["SCOPE_USER", `in all conversations of ${settings.user}`],
    ["SCOPE_MODEL", `in all that use the model ${settings.model}`],
  ], "SCOPE_CONVERSATION");
  const everywhere = h("input", { type: "checkbox" });
  const said = h("div");
  const close = () => { show(below); opener.setAttribute("aria-expanded", "false"); opener.focus(); };
  const form = h("form", {
    class: "correction", "aria-label": "Correct the reply",
    oninput: () => { id = newId(); },
    onkeydown: (event) => { if (event.key === "Escape") close(); },
    onsubmit: async (event) => {
      event.preventDefault();
      if (!wrong.value.trim() && !about.value.trim() && !property.value.trim()) {
        show(said, problem(new Error("Say which words are wrong, or what it is about.")));
        wrong.focus();
        return;
      }
      try {
        const answer = await ask("gateway/Correct", {
          bot: settings.bot,
          correction: {
            ...tenant(), requestId: id, scope: scope.value, conversationId: m.conversationId, errorMessageId: everywhere.checked ? "" : m.messageId, errorContext: wrong.value.trim(),
            model: scope.value === "SCOPE_MODEL" ? settings.model : "",
            fact: { entity: about.value.trim(), attribute: property.value.trim(), value: right.value.trim() },
          },
        });
        const question = context.conversation() === m.conversationId && before(below.closest("li"));
        say("Corrected");
        opener.setAttribute("aria-expanded", "false");
        show(below, h("div", { class: "done" },
          h("p", {}, "Corrected: ", wrong.value.trim() && [h("s", {}, wrong.value.trim()), " "], h("b", {}, right.value.trim()), "."),
          (answer.warnings ?? []).map((w) => h("p", { class: "note" }, w)),
          h("p", { class: "actions" }, question && button("Ask again", () => context.again(question), { class: "strong" }), h("a", { href: "#/memory" }, "See corrections"))));
        below.querySelector("button, a")?.focus();
      } catch (error) {
        show(said, problem(error));
      }
    },
  },
  h("div", { class: "pair" }, field("Wrong words", wrong), field("Right words", right)),
  h("details", {}, h("summary", {}, "What it is about"), h("div", { class: "pair" }, field("About", about, "Such as: the apple cake"), field("Which property", property, "Such as: baker"))),
  field("It holds", scope),
  h("p", {}, h("label", {}, everywhere, " Whatever is asked: wherever the wrong words would be said")),
  said,
  h("p", { class: "actions" }, h("button", { class: "strong" }, "Save the correction"), button("Cancel", close)));
  show(below, form);
  opener.setAttribute("aria-expanded", "true");
  form.scrollIntoView({ block: "nearest" });
  (marked ? right : wrong).focus();
}

// before finds what a reply answered.
function before(node) {
  while ((node = node?.previousElementSibling)) if (node.classList.contains("said")) return node.dataset.text;
  return "";
}

// waiting is a reply on its way.
export function waiting() {
  const text = h("p", { class: "text", dir: "auto" }, h("span", { class: "dots", "aria-label": "Answering" }, "···"));
  const node = h("li", { class: "reply" }, text);
  let begun = false;
  return {
    node,
    add(piece) {
      if (!begun) text.textContent = "";
      begun = true;
      text.append(piece);
    },
    fail(child) {
      if (!begun) text.remove();
      node.append(child);
    },
  };
}
