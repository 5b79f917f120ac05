// One word of a reply: what else could have been said there, the rows that gave it its probability, the documents behind its count,
// and the statements that return all that.
import { copied, count, entry, figure, h, log, percent, plural, problem, show, table } from "./dom.js";

const roles = { ROLE_MATCHED: "found", ROLE_BACKED_OFF: "backed off", ROLE_ABSENT: "no such context", ROLE_INTERPOLATED: "mixed in" };

const mark = (text) => text.replaceAll("<s>", "⟨start⟩").replaceAll("</s>", "⟨end⟩");

const written = (tokens) => (tokens ?? []).map((t) => (/^<\/?s>$/.test(t.text) ? mark(t.text) : t.text)).join(" ");

// spoken are the features that spoke for a concept, as one reads them.
export const spoken = (features, between) => (features ?? []).map(mark).join(between);

export function tokenPart({ segment, index, token, correction, label }, told, sources) {
  if (correction) return corrected(correction, told, token);
  const e = token.explanation;
  const matched = e?.orders?.find((o) => o.role === "ROLE_MATCHED");
  return [
    h("h3", {}, "The word “", h("b", {}, label), "”"),
    sentence(token, matched, segment),
    token.replaced && h("p", { class: "note" }, `A correction wrote “${token.replaced.text}” in its place.`),
    e?.literal && h("p", {}, "No table holds it: the request brought it."),
    runners(token, segment),
    e ? chain(e, segment) : h("p", { class: "hint" }, "Rows are shown of the first 300 words of a reply."),
    e && !e.literal && documents(index, matched, e.token, sources),
    e?.statements?.length > 0 && statements("SQL of this word", [...e.statements, ...(segment.explained?.statements ?? [])]),
  ];
}

// sentence says the word's probability as one would say it.
function sentence(token, matched, segment) {
  const drawn = percent(10 ** (token.log10Drawn ?? 0));
  const left = token.candidates === 1 ? "It was the only word left to draw from." : `It was drawn at ${drawn}, from ${plural(token.candidates ?? 0, "word")} left.`;
  if (!matched) return h("p", { class: "sentence" }, `Its probability in the model is ${percent(10 ** token.log10Probability)}. ${left}`);
  const context = written(matched.context);
  return h("p", { class: "sentence" },
    context === "⟨start⟩" ? "At the start of a sentence " : context ? ["After “", h("b", {}, context), "” "] : "On its own ",
    matched.count ? [`it was counted ${plural(matched.count.raw, "time")}`, `; in build ${segment.explained?.buildId ?? ""} it has ${percent(token.explanation.probability)} there. `] : `it has ${percent(token.explanation.probability)}. `,
    left);
}

// runners shows the likeliest candidates with their probability after each stage that changed something.
function runners(token, segment) {
  const all = token.stages ?? [];
  const stages = segment.stages ?? [];
  if (!all.length) return null;
  const moves = (i) => all.some((c) => { const p = c.probabilities; return Math.abs((p[i] ?? 0) - (p[i - 1] ?? 0)) > 1e-4 * Math.max(p[i] ?? 0, p[i - 1] ?? 0); });
  const shown = stages.map((_, i) => i).filter((i) => i === 0 || i === stages.length - 1 || moves(i));
  const idle = stages.filter((_, i) => !shown.includes(i));
  return h("div", {}, table("Runners-up, and their probability after each stage", ["Word", "Share", ...shown.map((i) => `#${stages[i]}`), "#Order"], all.map((c) => {
    const chosen = c.token?.id === token.token?.id && c.token?.text === token.token?.text;
    return {
      "aria-current": chosen && "true", class: c.kept ? "" : "out",
      cells: [written([c.token]), h("span", { class: "bar", share: c.probabilities?.at(-1) ?? 0 }), ...shown.map((i) => (i === stages.length - 1 && !c.kept ? "cut" : percent(c.probabilities?.[i] ?? 0))), c.matchedOrder ?? ""],
    };
  })), idle.length > 0 && h("p", { class: "hint" }, `Changed nothing here: ${idle.join(", ")}.`));
}

// chain shows the rows order by order, from the longest context down.
function chain(e, segment) {
  if (!e.orders?.length) return null;
  const summary = segment.explained ?? {};
  const rows = e.orders.map((o) => ({
    "aria-current": o.role === "ROLE_MATCHED" && "true", class: o.role === "ROLE_ABSENT" ? "out" : "",
    cells: [
      written(o.context) || "(no context)", h("span", { class: "whole" }, roles[o.role] ?? o.role), o.count ? count(o.count.raw) : "–",
      o.count && o.contextRow ? `${count(o.count.adjusted)} of ${count(o.contextRow.adjustedTotal)}` : "–",
      figure(o.discount), log(o.probability?.log10), log(o.backoff?.log10),
    ],
  }));
  return h("div", {},
    table("Rows, from the longest context down", ["Context", "Role", "#Count", "#Adjusted", "#Discount", "#log₁₀ p", "#Back-off"], rows),
    h("p", { class: "hint" }, `Stored: log₁₀ p = ${log(e.log10Probability, 6)}`, e.exactLog10Probability !== undefined && `; exactly, from the counts: ${log(e.exactLog10Probability, 6)}`,
      ". Counts are of tbl_l1_ng_counts_n and tbl_l1_context_registry, probabilities of tbl_l1_ng_probs_n, back-off weights of tbl_l1_ng_topk_n."),
    h("details", {}, h("summary", {}, "Keys and codes of these rows"),
      table("Keys and codes", ["Order", "#context_hash", "#next_token_id", "#q_logprob", "#q_backoff", "#γ", "#Exact", "#Since build"], e.orders.map((o) => ({
        cells: [o.order, o.contextHash, e.token?.id ?? 0, o.probability?.code ?? "–", o.backoff?.code ?? "–", figure(o.gamma), log(o.exactLog10), o.probability?.sinceBuild ?? "–"],
      }))),
      summary.formula && h("p", { class: "hint" }, `${summary.smoothing}, storage ${summary.storage}: ${summary.formula}.`)),
    summary.counts === "COUNT_STATE_CHANGED" && h("p", { class: "note" }, "Text was counted since this build: counts are those of today."));
}

// documents lists where the n-gram that was found occurs.
function documents(index, matched, token, sources) {
  const node = h("div", {}, h("h3", {}, "Documents behind the count"), h("p", { class: "hint" }, "Searching the kept texts …"));
  const find = () => sources(index).then((summary) => {
    const found = (summary.sources ?? []).find((s) => s.order === matched?.order && s.contextHash === matched?.contextHash && s.tokens?.at(-1)?.id === token?.id);
    const searched = `Searched ${plural(summary.bytesSearched ?? 0, "byte")} in ${count(summary.documentsSearched ?? 0)} of ${plural(summary.documents ?? 0, "document")}${summary.documentsWithoutText ? `; of ${count(summary.documentsWithoutText)} the text is not kept` : ""}.`;
    if (!found) return show(node, h("h3", {}, "Documents behind the count"), h("p", { class: "hint" }, `Not found in the kept texts. ${searched}`));
    show(node, table(`“${written(found.tokens)}” in ${plural(found.documents, "document")}`, ["Document", "#Times", "#Weight"], (found.most ?? []).map((d) => ({ cells: [d.label, count(d.occurrences), count(d.weight)] }))),
      h("p", { class: "hint" }, searched));
  }).catch((error) => error.name !== "AbortError" && show(node, h("h3", {}, "Documents behind the count"), problem(error)));
  find();
  return node;
}

function statements(label, list) {
  return h("details", {}, h("summary", {}, label),
    h("p", { class: "hint" }, "To be pasted into a SQL client: the schema dbslm_ngram, or the file ngram.sqlite3 of an embedded store."),
    list.map((s) => {
      const code = h("code", {}, s.statement);
      return h("div", { class: "code" }, h("h3", {}, s.title), h("pre", { tabindex: "0", role: "region", "aria-label": s.title }, code), copied(code));
    }));
}

// corrected shows words that a correction wrote in the place of what the model had drawn.
function corrected(replaced, told, token) {
  const c = (told.corrections ?? []).find((x) => x.correctionId === replaced.source)?.correction;
  return [
    h("h3", {}, "Written by a correction"),
    h("p", { class: "sentence" }, "The model drew ", h("s", {}, c?.errorContext || token.token.text), "; the correction writes ", h("b", {}, replaced.text), " in its place. Everything else is what it would have been without."),
    c && h("dl", { class: "facts" }, entry("Recorded by", c.recordedBy), entry("Said", plural(c.times || 1, "time")), entry("Id", c.correctionId)),
  ];
}

const origins = {
  static: "the concept’s own data", default: "the slot’s default", built_in: "the conversation itself", correction: "a correction", fact: "a fact", provider: "a payload provider",
  request: "the request", signal: "a signal",
};

// spanPart shows what level 3 said: concept, template, and where each slot's value came from.
export function spanPart({ segment }) {
  const { span } = segment;
  let payload = {};
  try { payload = JSON.parse(span.payloadJson || "{}"); } catch { /* shown as it is below */ }
  const features = spoken((segment.considered ?? []).find((c) => c.concept === span.concept)?.features, " · ");
  const slots = Object.entries(span.slotSources ?? {});
  return [
    h("h3", {}, "Said by the concept ", h("b", {}, span.concept)),
    h("p", { class: "sentence" }, span.signal ? "A signal had it speak." : `It was chosen with probability ${percent(span.probability)}; below ${percent(segment.threshold)} it would have said nothing.`),
    features && h("p", { class: "hint" }, `What spoke for it: ${features}`),
    segment.templateText && [h("h3", {}, `Template, version ${span.templateVersion}${span.languageCode ? `, ${span.languageCode}` : ""}`), h("pre", { tabindex: "0", role: "region", "aria-label": "Template" }, segment.templateText)],
    slots.length > 0 && table("Slots", ["Slot", "Value", "From"], slots.map(([name, source]) => ({ cells: [name, JSON.stringify(payload[name] ?? "")?.replace(/^"|"$/g, ""), origins[source] ?? source] }))),
    segment.provided && h("dl", { class: "facts" }, entry("Provider answered", segment.provided.payloadJson), entry("Provider failed", segment.provided.failure)),
    span.signal && h("dl", { class: "facts" }, entry("Signal", span.signal.signalId), entry("Payload", span.payloadJson)),
  ];
}
