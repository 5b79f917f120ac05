// The glass box: how a reply came about. It stands beside the chat; on a small screen it covers it.
import { all, ask } from "./api.js";
import { button, choice, count, entry, h, percent, plural, problem, say, show, table } from "./dom.js";
import { tenant } from "./settings.js";
import { spanPart, spoken, tokenPart } from "./word.js";

const box = document.getElementById("glass");
let opener = null;
let leave = new AbortController();

export function close() {
  leave.abort();
  if (box.hidden) return;
  const held = box.contains(document.activeElement);
  box.hidden = true;
  show(box);
  if (held && opener?.isConnected) opener.focus();
}

box.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

// open explains a reply, and of it the word at a place of its text, counted in UTF-16 units.
export async function open(message, at, from) {
  close();
  opener = from;
  leave = new AbortController();
  const { signal } = leave;
  const heading = h("h2", { tabindex: "-1" }, "Inside this reply");
  const body = h("div", { class: "part" }, h("p", { class: "hint" }, "Making the reply again, to see how it came about …"));
  show(box, h("div", { class: "top" }, heading, button("Close", close, { class: "quiet" })), body);
  box.hidden = false;
  box.scrollTop = 0;
  heading.focus({ preventScroll: true });
  const long = (message.content ?? "").length > 8000; // an answer has to fit into one message
  const request = { ...tenant(), messageId: message.messageId, candidates: long ? 2 : 10, rows: { maxTokens: 300, sql: true } };
  try {
    const told = await ask("gateway/Explain", request, signal);
    // The documents are searched for once, when they are first wanted.
    let searched = null;
    const sources = (segment) => {
      searched ??= ask("gateway/Explain", { ...request, candidates: 1, rows: { maxTokens: 300, documents: true } }, signal);
      return searched.then((all) => all.segments[segment]?.explained ?? {});
    };
    reply(body, told, at, sources);
    say("Explained");
  } catch (error) {
    if (error.name !== "AbortError") show(body, problem(error, error.again && button("Try again", () => open(message, at, from))));
  }
}

// reply shows a whole reply: its pieces in a row, of which one can be looked into, and below what they share.
function reply(body, told, at, sources) {
  const detail = h("div", { class: "part" });
  const pieces = cut(told);
  const strip = h("div", { class: "strip", dir: "auto", role: "toolbar", "aria-label": "Words of the reply; arrow keys move, Enter looks inside" });
  const pick = (piece) => {
    for (const p of pieces) p.node.setAttribute("aria-pressed", String(p === piece));
    rove(piece);
    show(detail, piece.span ? spanPart(piece, told) : tokenPart(piece, told, sources));
    say([...detail.querySelectorAll("h3, .sentence")].slice(0, 2).map((n) => n.textContent).join(". "));
  };
  const rove = (piece) => { for (const p of pieces) p.node.tabIndex = p === piece ? 0 : -1; };
  for (const piece of pieces) {
    const { label, kind, share, hint } = piece;
    piece.node = h("button", { type: "button", class: `token ${kind}`, "aria-pressed": "false", share, title: hint, onclick: () => pick(piece) }, label);
    strip.append(piece.node);
  }
  strip.addEventListener("keydown", (event) => {
    const i = pieces.findIndex((p) => p.node === document.activeElement);
    const ahead = strip.matches(":dir(rtl)") ? -1 : 1;
    const to = { ArrowRight: i + ahead, ArrowDown: i + 1, ArrowLeft: i - ahead, ArrowUp: i - 1, Home: 0, End: pieces.length - 1 }[event.key];
    if (i < 0 || to === undefined || !pieces[to]) return;
    event.preventDefault();
    rove(pieces[to]);
    pieces[to].node.focus();
  });
  show(body,
    told.notReplayable && h("p", { class: "note" }, `It cannot be made again: ${told.notReplayable.detail || told.notReplayable.reason}. What its trace still says is below.`),
    pieces.length > 0 && h("div", {}, strip, h("p", { class: "hint" }, "A darker line under a word: found after more words of context. A double line: said by a concept, or written by a correction.")),
    detail, about(told));
  if (!pieces.length) return;
  rove(pieces[0]);
  if (at === undefined) show(detail, h("p", { class: "hint" }, "Choose a word to see the rows behind it."));
  else {
    const piece = pieces.find((p) => p.end > at) ?? pieces.at(-1);
    pick(piece);
    piece.node.focus({ preventScroll: true });
  }
}

// cut finds the pieces of a reply in its text: a span of level 3 is one, of level 1 each token. Tokens are folded and know no spaces,
// so each is looked for behind the one before, not farther than what could not be found in between; those that are not written (the
// end of a sentence, what a correction replaced) have no length.
function cut(told) {
  const out = [];
  const all = (told.segments ?? []).flatMap((s) => s.tokens ?? []);
  const longest = Math.max(1, ...all.slice(0, 300).map((t) => t.explanation?.orders?.length ?? 0), ...all.slice(0, 300).map((t) => t.matchedOrder ?? 0));
  let from = 0;
  (told.segments ?? []).forEach((segment, index) => {
    const text = segment.text ?? "";
    const low = text.toLowerCase();
    const tokens = segment.tokens ?? [];
    let place = 0;
    let slack = 3;
    const find = (word) => {
      const at = low.indexOf(word.toLowerCase(), place);
      if (at < 0 || at > place + slack) {
        slack += 2 * word.length + 3;
        return word;
      }
      place = at + word.length;
      slack = 3;
      return text.slice(at, place);
    };
    if (segment.span) out.push({ segment, index, span: true, label: text.trim(), kind: "span", hint: `Concept ${segment.span.concept}`, end: from + text.length });
    tokens.forEach((token, i) => {
      const word = token.token?.text ?? "";
      const mark = /^<\/?s>$/.test(word);
      const ahead = tokens.slice(i, i + 64).findIndex((t) => t.replaced);
      const gone = ahead >= 0 && ahead < tokens[i + ahead].replaced.tokens;
      out.push({
        segment, index, token,
        label: mark ? (word === "</s>" ? "end" : "start") : gone ? word : find(word),
        kind: mark ? "mark" : gone ? "replaced" : "",
        share: (token.matchedOrder ?? 0) / longest,
        hint: gone ? "drawn, but a correction was written in its place" : `found as ${token.matchedOrder ?? 0}-gram, ${percent(10 ** (token.log10Drawn ?? 0))} when drawn`,
        end: from + place,
      });
      if (token.replaced) out.push({ segment, index, token, correction: token.replaced, label: find(token.replaced.text), kind: "span", hint: "written by a correction", end: from + place });
    });
    from += text.length;
  });
  return out;
}

// about shows what concerns the whole reply.
function about(told) {
  const trace = told.trace ?? {};
  const window = told.window?.messages?.length ?? 0;
  const left = told.window?.omittedMessages ?? trace.windowOmitted ?? 0;
  return h("section", { class: "part", "aria-label": "The whole reply" },
    h("h3", {}, "The whole reply"),
    h("dl", { class: "facts" },
      entry("Answers", told.userMessage?.content),
      entry("Saw before it", `${plural(window, "message")}${BigInt(left) > 0n ? `; ${count(left)} were left out` : ""}${trace.windowFirstCut ? "; the first was cut" : ""}`),
      trace.model && entry("Language model", `${trace.model}, build ${trace.ngramBuildId}`),
      trace.conceptBuildId && entry("Decision model", `build ${trace.conceptBuildId}${trace.bot ? `, bot ${trace.bot}` : ""}`),
      entry("Seed", trace.seed),
      entry("Made again", told.notReplayable ? "not possible any more" : told.identical ? "the same bytes" : "differs from what is stored")),
    (trace.degradations ?? []).map((d) => h("p", { class: "note" }, `Without ${d.service}: ${d.effect || d.reason}`)),
    corrections(told), facts(told), considered(told), replay(told.message, trace),
    trace.parameters && h("details", {}, h("summary", {}, "Parameters of decoding"), h("dl", { class: "facts" },
      Object.entries(trace.parameters).map(([name, value]) => entry(name, typeof value === "object" ? JSON.stringify(value) : String(value))))));
}

function corrections(told) {
  const found = told.corrections ?? [];
  if (!found.length) return null;
  return [h("h3", {}, "Corrections considered"), h("ul", { class: "cards" }, found.map(({ correction: c, steered, applied }) => h("li", { class: "card" },
    h("p", {}, c ? [c.errorContext && [h("s", {}, c.errorContext), " "], h("b", {}, c.fact?.value ?? "")] : "erased since", " ",
      h("span", { class: `tag ${applied ? "on" : ""}` }, applied ? "in the reply because of it" : steered ? "leaned towards it, but it is not in the reply" : "considered only")),
    c && [c.fact?.entity, c.fact?.attribute].some(Boolean) && h("p", { class: "hint" }, [c.fact.entity, c.fact.attribute].filter(Boolean).join(" · ")))))];
}

function facts(told) {
  const found = told.facts ?? [];
  return found.length > 0 && [h("h3", {}, "Facts at hand"), h("ul", { class: "cards" }, found.map((f) => h("li", { class: "card" }, h("p", {}, [f.entity, f.attribute].filter(Boolean).join(" · "), ": ", h("b", {}, f.value)))))];
}

const silent = {
  no_concepts: "the bot has none", below_threshold: "none was likely enough", no_template: "none had a template that fits", missing_slot: "a value for a slot was missing",
  all_used: "those that fit had spoken already", signals_only: "only signals were asked",
};

function considered(told) {
  return (told.segments ?? []).filter((s) => s.considered?.length).map((s) => h("details", {},
    h("summary", {}, s.span ? `Concepts considered for “${short(s.text)}”` : `Why no concept spoke: ${silent[s.abstained] ?? (s.abstained || "not stored").replaceAll("_", " ")}`),
    table(`Threshold ${percent(s.threshold)}`, ["Concept", "#Probability", "Features", "Why not"], s.considered.map((c) => ({
      "aria-current": c.concept === s.span?.concept && "true",
      cells: [c.concept, percent(c.probability), h("span", { class: "hint" }, spoken(c.features, ", ")), c.reason ?? ""],
    })))));
}

const short = (text) => (text.trim().length > 32 ? text.trim().slice(0, 30) + "…" : text.trim());

// replay makes the reply again, with its own build or another, and shows where they part.
function replay(message, trace) {
  if (!message) return null;
  const said = h("div", { class: "part" });
  const which = h("span");
  const run = button("Replay", async () => {
    run.disabled = true;
    try {
      const build = Number(which.querySelector("select")?.value ?? 0);
      const r = await ask("gateway/Replay", { ...tenant(), messageId: message.messageId, ngramBuildId: build });
      show(said, r.notReplayable ? h("p", { class: "note" }, `It cannot be replayed: ${r.notReplayable}`)
        : r.identical ? h("p", {}, h("span", { class: "tag on" }, "identical"), ` Every byte is the same${r.ngramBuildId ? `, with build ${r.ngramBuildId}` : ""}.`)
          : h("div", {}, h("p", {}, h("span", { class: "tag off" }, "differs"), ` From byte ${count(r.differsAt)} on, with build ${r.ngramBuildId}:`), h("p", { class: "sentence" }, parted(r))));
      say(said.textContent);
    } catch (error) {
      show(said, problem(error));
    } finally {
      run.disabled = false;
    }
  });
  if (trace.model) {
    all("builds/ListBuilds", { ...tenant(), model: trace.model, pageSize: 100 }, "builds", 100, leave.signal).then((builds) => {
      const others = builds.filter((b) => b.state === "STATE_READY").map((b) => [b.buildId, `build ${b.buildId}${b.buildId === trace.ngramBuildId ? " (its own)" : ""}`]);
      if (others.length > 1) show(which, h("label", {}, "with ", choice(others, trace.ngramBuildId, { class: "narrow" })));
    }).catch(() => {});
  }
  return [h("h3", {}, "Replay"), h("p", { class: "actions" }, run, which), said];
}

// parted marks a text from the first byte on that differs.
function parted(r) {
  const bytes = new TextEncoder().encode(r.text ?? "");
  const decoder = new TextDecoder();
  return [decoder.decode(bytes.slice(0, Number(r.differsAt ?? 0))), h("mark", {}, decoder.decode(bytes.slice(Number(r.differsAt ?? 0))) || "(nothing more)")];
}
