// The list of conversations beside the chat, with a search in everything that was said.
import { ask } from "./api.js";
import { button, confirmed, h, moment, problem, say, show } from "./dom.js";
import { change, settings, tenant } from "./settings.js";

export function list(current, failed) {
  const entries = h("ul", { class: "entries" });
  const more = h("p", { class: "actions" });
  const search = h("input", { type: "search", placeholder: "Search messages", "aria-label": "Search messages", maxlength: 256 });
  const everyone = h("input", { type: "checkbox", checked: settings.everyone, onchange: () => { change({ everyone: everyone.checked }); refresh(); } });
  const toggle = button("Conversations", () => {
    const open = node.classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
  }, { class: "drawer", "aria-expanded": "false" });
  const node = h("nav", { class: "conversations", "aria-label": "Conversations" },
    toggle,
    h("div", { class: "fold" },
      h("p", {}, h("a", { class: "new", href: "#/" }, "New conversation")),
      h("form", { role: "search", onsubmit: (event) => { event.preventDefault(); refresh(); } }, search),
      entries, more,
      h("p", { class: "hint" }, h("label", {}, everyone, " Everyone’s, not only mine"))));
  search.addEventListener("input", () => { if (!search.value) refresh(); });
  let asked = 0;

  async function refresh(token = "") {
    const turn = ++asked;
    try {
      const query = search.value.trim();
      if (query) {
        const { messages = [] } = await ask("conversations/SearchMessages", { ...tenant(), query, pageSize: 50 });
        if (turn !== asked) return;
        show(more);
        show(entries, messages.length ? messages.map(found) : h("li", { class: "hint" }, "Nothing was said like that. Whole words are searched for."));
        return;
      }
      const page = await ask("conversations/ListConversations", { ...tenant(), userId: settings.everyone ? "" : settings.user, pageSize: 50, pageToken: token });
      if (turn !== asked) return;
      const items = (page.conversations ?? []).map(entry);
      if (token) entries.append(...items);
      else show(entries, items.length ? items : h("li", { class: "hint" }, "None yet."));
      show(more, page.nextPageToken && button("More", () => refresh(page.nextPageToken)));
    } catch (error) {
      if (turn === asked) show(entries, h("li", {}, problem(error, button("Try again", () => refresh()))));
    }
  }

  function entry(c) {
    const id = c.conversationId;
    const name = c.title || "Untitled";
    return h("li", {},
      h("a", { href: `#/c/${id}`, "aria-current": id === current() && "true" }, h("span", { class: "name", dir: "auto" }, name),
        h("span", { class: "hint" }, moment(c.updateTime), settings.everyone && ` · ${c.userId}`)),
      button("×", async () => {
        if (!(await confirmed(`Delete “${name}” with all that was said in it?`, "Delete"))) return;
        try {
          await ask("conversations/DeleteConversation", { ...tenant(), conversationId: id });
          say("Deleted");
          if (id === current()) location.hash = "#/";
          else await refresh();
          document.querySelector(".conversations .new")?.focus();
        } catch (error) {
          failed(error);
        }
      }, { class: "quiet", "aria-label": `Delete ${name}` }));
  }

  const found = (m) => h("li", {}, h("a", { href: `#/c/${m.conversationId}` }, h("span", { class: "name", dir: "auto" }, m.content), h("span", { class: "hint" }, moment(m.createTime))));

  refresh();
  return { node, refresh: () => refresh(), close: () => { asked++; } };
}
