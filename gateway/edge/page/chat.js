// The conversation: what was said, and what is said next.
import { ask, newId, stream } from "./api.js";
import { list } from "./conversations.js";
import { button, h, problem, say, show } from "./dom.js";
import { message, waiting } from "./message.js";
import { asSeed, settings, tenant } from "./settings.js";

export const title = "Chat";

let shown = null; // id of the conversation on the page; "" before its first message

// follow tells whether the conversation of an address is on the page already.
export const follow = (id) => shown === (id ?? "");

// Refusals that other settings end.
const settled = new Set(["MODEL_NOT_FOUND", "NO_PUBLISHED_BUILD", "BOT_NOT_FOUND", "PROFILE_NOT_FOUND", "INVALID_REQUEST"]);

export function view(main, [id = ""]) {
  shown = id;
  const log = h("ol", { class: "log" });
  const heard = h("div", { role: "log", "aria-label": "Messages", "aria-live": "off" }, log); // the status says each reply, once and whole
  const earlier = h("p", { class: "actions" });
  const heading = h("h1", { tabindex: "-1", dir: "auto" }, "New conversation");
  const input = h("textarea", { rows: 1, dir: "auto", name: "message", placeholder: "Say something", "aria-label": "Message", maxlength: 1 << 20, enterkeyhint: "send" });
  const send = h("button", { class: "strong" }, "Send");
  const stop = button("Stop", () => running?.abort(), { hidden: true });
  const form = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); submit(); } }, input, send, stop);
  const failed = (error) => show(trouble, problem(error, h("a", { href: "#/" }, "Begin a new conversation"), h("a", { href: "#/system" }, "See what is running")));
  const trouble = h("div");
  const aside = list(() => shown, failed);
  show(main, aside.node, h("section", { class: "talk", "aria-label": "Conversation" }, heading, h("div", { class: "roll" }, trouble, earlier, heard), form));
  const roll = main.querySelector(".roll");
  let running = null; // of the turn that is being answered
  let left = false;

  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  input.addEventListener("input", () => grow(input));

  const context = { conversation: () => shown, again: (text) => turn(text, newId()) };
  const down = () => roll.scrollTo({ top: roll.scrollHeight });

  async function history(token) {
    const page = await ask("gateway/GetHistory", { ...tenant(), conversationId: id, newestFirst: true, pageSize: 50, pageToken: token });
    if (left) return;
    const height = roll.scrollHeight;
    log.prepend(...(page.messages ?? []).reverse().map((m) => message(m, context)));
    show(earlier, page.nextPageToken && button("Earlier messages", () => history(page.nextPageToken).catch(failed)));
    if (token) roll.scrollTop += roll.scrollHeight - height;
    else down();
  }

  async function begin() {
    if (!id) {
      show(log, h("li", { class: "welcome" },
        h("p", {}, "Every word of a reply comes out of rows of tables. Ask something, then click a word of the answer to see which."),
        h("p", { class: "hint" }, `You are “${settings.user}” and talk to the model “${settings.model}”.`)));
      if (matchMedia("(pointer: fine)").matches) input.focus();
      return;
    }
    heading.textContent = "Conversation";
    try {
      const { conversation } = await ask("conversations/GetConversation", { ...tenant(), conversationId: id });
      heading.textContent = conversation.title || "Untitled";
      await history("");
    } catch (error) {
      failed(error);
    }
  }

  function submit() {
    const text = input.value;
    if (!text.trim() || running) return;
    input.value = "";
    grow(input);
    turn(text, newId());
  }

  // turn says a text. What failed is tried again under the same request id, so that nothing is said twice; what began the
  // conversation has its own.
  async function turn(text, requestId) {
    if (running) return;
    log.querySelector(".welcome")?.remove();
    const said = message({ sender: "SENDER_USER", content: text }, context);
    const answer = waiting();
    log.append(said, answer.node);
    down();
    running = new AbortController();
    stop.hidden = false;
    send.hidden = true;
    heard.setAttribute("aria-busy", "true");
    say("Answering");
    let reply = null;
    try {
      const seed = asSeed(settings.seed);
      if (!shown) {
        const { conversation } = await ask("gateway/StartConversation", { ...tenant(), requestId: `start-${requestId}`, userId: settings.user, title: cut(text) }, running.signal);
        shown = id = conversation.conversationId;
        heading.textContent = conversation.title;
        window.history.replaceState(null, "", `#/c/${id}`);
        aside.refresh();
      }
      const request = {
        ...tenant(), requestId, conversationId: id, text, model: settings.model, bot: settings.bot, languageCode: settings.language,
        parameters: { profile: settings.profile, seed },
      };
      for await (const event of stream("gateway/StreamRespond", { request }, running.signal)) {
        if (event.delta && !event.delta.candidate) {
          const end = roll.scrollHeight - roll.scrollTop - roll.clientHeight < 120; // who reads further up stays there
          answer.add(event.delta.text ?? "");
          if (end) down();
        }
        if (event.finished) reply = event.finished;
      }
      if (!reply) throw new Error("The reply broke off. Try again: what was stored is not said twice.");
      said.replaceWith(message(reply.userMessage, context));
      answer.node.replaceWith(message(reply.message, context, reply));
      say(`Reply: ${reply.message.content || "nothing"}`);
      aside.refresh();
    } catch (error) {
      if (error.name === "AbortError") await stopped(said, answer);
      else {
        const retry = () => { said.remove(); answer.node.remove(); if (matchMedia("(pointer: fine)").matches) input.focus(); turn(text, requestId); };
        const edit = () => { said.remove(); answer.node.remove(); input.value = text; grow(input); input.focus(); };
        answer.fail(problem(error, button("Try again", retry, { class: "strong" }), button("Edit", edit),
          settled.has(error.reason) && button("Change the settings", () => document.getElementById("settings").click())));
      }
    } finally {
      running = null;
      stop.hidden = true;
      send.hidden = false;
      heard.removeAttribute("aria-busy");
      down();
    }
  }

  // stopped shows what was stored of a reply that the reader stopped.
  async function stopped(said, answer) {
    say("Stopped");
    for (let wait = 100; wait < 2000 && id; wait *= 2) { // the server learns of it a moment later
      await new Promise((resolve) => setTimeout(resolve, wait));
      const { messages = [] } = await ask("gateway/GetHistory", { ...tenant(), conversationId: id, newestFirst: true, pageSize: 2 }).catch(() => ({}));
      if (messages[0]?.sender === "SENDER_ASSISTANT" && messages[1]?.content === said.dataset.text) {
        said.replaceWith(message(messages[1], context));
        answer.node.replaceWith(message(messages[0], context));
        return;
      }
    }
    answer.fail(h("p", { class: "hint" }, "Stopped."));
  }

  begin();
  return () => {
    left = true;
    running?.abort();
    shown = null;
    aside.close();
  };
}

// cut makes a title of what was said first.
const cut = (text) => [...text.trim().replace(/\s+/g, " ")].slice(0, 60).join("");

function grow(input) {
  input.style.setProperty("height", "auto");
  input.style.setProperty("height", `${Math.min(input.scrollHeight + 2, 240)}px`);
}
