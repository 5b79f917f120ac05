// What is remembered beyond the words of a conversation: corrections and facts.
import { ask, newId } from "./api.js";
import { button, choice, confirmed, field, h, moment, plural, problem, say, show } from "./dom.js";
import { settings, tenant } from "./settings.js";

export const title = "Memory";

const scopes = { SCOPE_CONVERSATION: "in one conversation", SCOPE_USER: "for one person", SCOPE_MODEL: "for everyone with the model" };

const holds = (x) => ({ SCOPE_USER: `for ${x.userId}`, SCOPE_MODEL: `for everyone with the model ${x.model}` })[x.scope] ?? scopes[x.scope];

export function view(main) {
  const ended = h("input", { type: "checkbox", onchange: () => refresh() });
  const mine = h("input", { type: "checkbox", onchange: () => refresh() });
  const corrections = listing((token) => ask("corrections/ListCorrections", { ...tenant(), userId: mine.checked ? settings.user : "", includeEnded: ended.checked, pageSize: 50, pageToken: token }),
    "corrections", correctionCard, "Nothing has been corrected. In a chat, choose Correct below a reply.");
  const facts = listing((token) => ask("facts/ListFacts", { ...tenant(), userId: mine.checked ? settings.user : "", includeRetired: ended.checked, pageSize: 50, pageToken: token }),
    "facts", factCard, "No facts are remembered.");
  const refresh = () => Promise.all([corrections.refresh(), facts.refresh()]);
  show(main,
    h("h1", { tabindex: "-1" }, "Memory"),
    h("p", { class: "actions" }, h("label", {}, mine, ` Only ${settings.user}’s`), h("label", {}, ended, " Also those that ended")),
    h("section", { class: "block", "aria-label": "Corrections" }, h("h2", {}, "Corrections"), corrections.node),
    h("section", { class: "block", "aria-label": "Facts" }, h("h2", {}, "Facts"), remember(facts.refresh), facts.node));
  refresh();
}

// listing shows a list by pages; a card changes through its reload.
function listing(fetchPage, key, card, empty) {
  const items = h("ul", { class: "cards" });
  const more = h("p", { class: "actions" });
  let asked = 0;
  async function load(token) {
    const turn = ++asked;
    try {
      const page = await fetchPage(token);
      if (turn !== asked) return;
      const cards = (page[key] ?? []).map((x) => card(x, () => load("")));
      if (token) items.append(...cards);
      else show(items, cards.length ? cards : h("li", { class: "hint" }, empty));
      show(more, page.nextPageToken && button("More", () => load(page.nextPageToken)));
    } catch (error) {
      if (turn === asked) show(items, h("li", {}, problem(error, button("Try again", () => load(token)))));
    }
  }
  return { node: h("div", {}, items, more), refresh: () => load("") };
}

// act does something to an entry, and says in its place what went wrong.
function act(place, what, done) {
  return async () => {
    try {
      await what();
      say(done.said);
      await done.reload();
    } catch (error) {
      show(place, problem(error));
    }
  };
}

function correctionCard(c, reload) {
  const said = h("div");
  const id = { ...tenant(), correctionId: c.correctionId };
  const promote = (scope, label) => button(label, act(said, () => ask("corrections/PromoteCorrection", { ...id, scope, model: scope === "SCOPE_MODEL" ? settings.model : "", reviewedBy: settings.user }), { said: "Promoted", reload }));
  const revoke = button("Revoke", async () => {
    if (await confirmed(`Revoke the correction to “${c.fact?.value ?? ""}”? Replies are given as if it had never been made.`, "Revoke")) {
      await act(said, () => ask("corrections/RevokeCorrection", { ...id, reason: "revoked on the web page" }), { said: "Revoked", reload })();
    }
  });
  const state = c.active ? null : c.revokeTime ? ["revoked ", moment(c.revokeTime), c.revokeReason && `: ${c.revokeReason}`] : ["replaced by a later one ", moment(c.supersedeTime)];
  return h("li", { class: `card ${c.active ? "" : "ended"}` },
    h("p", { class: "value" }, c.errorContext && [h("s", {}, c.errorContext), " → "], h("b", {}, c.fact?.value ?? "")),
    h("p", { class: "hint" }, [c.fact?.entity, c.fact?.attribute].filter(Boolean).join(" · "), [c.fact?.entity, c.fact?.attribute].some(Boolean) && " — ", `holds ${holds(c)}`, c.times > 1 && `; said ${plural(c.times, "time")}`, c.recordedBy && ` · by ${c.recordedBy}`, " · ", moment(c.createTime)),
    state && h("p", { class: "note" }, state),
    said,
    h("p", { class: "actions" }, c.conversationId && h("a", { href: `#/c/${c.conversationId}` }, "Open the conversation"),
      c.active && [c.scope === "SCOPE_CONVERSATION" && promote("SCOPE_USER", `Hold for ${c.userId || c.recordedBy || "its person"}`), c.scope !== "SCOPE_MODEL" && promote("SCOPE_MODEL", "Hold for everyone"), revoke]));
}

function factCard(f, reload) {
  const said = h("div");
  return h("li", { class: `card ${f.retireTime ? "ended" : ""}` },
    h("p", { class: "value" }, [f.entity, f.attribute].filter(Boolean).join(" · "), ": ", h("b", {}, f.value)),
    h("p", { class: "hint" }, `holds ${holds(f)} · `, moment(f.createTime), f.retireTime && [" · retired ", moment(f.retireTime)]),
    said,
    h("p", { class: "actions" }, !f.retireTime && button("Retire", act(said, () => ask("facts/RetireFact", { ...tenant(), factId: f.factId }), { said: "Retired", reload }))));
}

// remember is a form for a new fact. What is sent again unchanged is remembered once.
function remember(done) {
  const entity = h("input", { required: true, maxlength: 512, autocomplete: "off" });
  const attribute = h("input", { required: true, maxlength: 512, autocomplete: "off" });
  const value = h("input", { required: true, maxlength: 4096, autocomplete: "off" });
  const scope = choice([["SCOPE_USER", `for ${settings.user}`], ["SCOPE_MODEL", `for everyone with the model ${settings.model}`]], "SCOPE_USER");
  const said = h("div");
  let id = newId();
  return h("details", {}, h("summary", {}, "Remember a fact"), h("form", {
    oninput: () => { id = newId(); },
    onsubmit: async (event) => {
      event.preventDefault();
      const person = scope.value === "SCOPE_USER";
      try {
        await ask("facts/RememberFact", {
          ...tenant(), requestId: id, scope: scope.value, userId: person ? settings.user : "", model: person ? "" : settings.model,
          entity: entity.value.trim(), attribute: attribute.value.trim(), value: value.value.trim(),
        });
        event.target.reset();
        show(said);
        say("Remembered");
        await done();
      } catch (error) {
        show(said, problem(error));
      }
    },
  }, h("div", { class: "pair" }, field("About", entity, "Such as: the loft"), field("Property", attribute, "Such as: keeper"), field("Value", value, "Such as: Nuala")), field("It holds", scope), said,
  h("p", { class: "actions" }, h("button", { class: "strong" }, "Remember"))));
}
