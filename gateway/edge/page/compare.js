// Two builds beside one another: the same prompt and the same seed, both texts, and what each build thinks of both.
import { all, ask, stream } from "./api.js";
import { button, choice, count, field, figure, h, log, problem, say, show, table } from "./dom.js";
import { asSeed, models, settings, tenant } from "./settings.js";

export const title = "Compare";

export function view(main) {
  const sides = ["First", "Second"].map((label) => ({ label, select: choice([], ""), text: h("p", { class: "text", dir: "auto" }), meta: h("div") }));
  const prompt = h("textarea", { rows: 2, dir: "auto", required: true, maxlength: 1 << 16 });
  prompt.value = "Tell me about the lantern.";
  const seed = h("input", { inputmode: "numeric", maxlength: 20, value: settings.seed || "7" });
  const said = h("div");
  const scores = h("div");
  const go = h("button", { class: "strong" }, "Compare");
  const leave = new AbortController();
  let running = null;
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); run(); } },
    field("Prompt", prompt), h("div", { class: "pair" }, sides.map((s) => field(`${s.label} build`, s.select)), field("Seed", seed)), said, h("p", { class: "actions" }, go));
  show(main, h("h1", { tabindex: "-1" }, "Compare two builds"),
    h("p", { class: "hint" }, "Level 1 alone answers, from each build, with the same seed and the same parameters; nothing is stored. A whole reply of a chat is made again with another build by Replay in its glass box."),
    form, h("div", { class: "versus" }, sides.map((s) => h("section", { class: "block", "aria-label": `${s.label} build` }, s.meta, s.text))), scores);
  begin();
  return () => { leave.abort(); running?.abort(); };

  async function begin() {
    try {
      const known = await models();
      const lists = await Promise.all(known.map((m) => all("builds/ListBuilds", { ...tenant(), model: m.name, pageSize: 100 }, "builds", 100, leave.signal)));
      const pairs = lists.flat().filter((b) => b.state === "STATE_READY").map((b) => [JSON.stringify([b.model, b.buildId]), `${b.model}, build ${b.buildId}${b.published ? " (published)" : ""}`]);
      if (!pairs.length) {
        show(said, problem(new Error("There is no build yet: dbslm train TEXT makes one.")));
        go.disabled = true;
        return;
      }
      sides.forEach((s, i) => { // the one before the newest, and the newest
        s.select.replaceChildren(...choice(pairs).children);
        s.select.value = (pairs[1 - i] ?? pairs[0])[0];
      });
    } catch (error) {
      if (error.name !== "AbortError") show(said, problem(error, button("Try again", begin)));
    }
  }

  async function run() {
    running?.abort();
    const mine = (running = new AbortController());
    show(said);
    show(scores);
    try {
      const parameters = { seed: asSeed(seed.value.trim()), profile: settings.profile };
      for (const s of sides) [s.model, s.build] = JSON.parse(s.select.value);
      await Promise.all(sides.map((s) => generate(s, parameters, mine.signal)));
      await judge(mine.signal);
      say("Compared");
    } catch (error) {
      if (error.name !== "AbortError") show(said, problem(error));
    }
  }

  async function generate(s, parameters, signal) {
    show(s.meta, h("h2", {}, `${s.model}, build ${s.build}`));
    s.text.textContent = "";
    s.written = "";
    for await (const { chunk, finish } of stream("inference/Generate", { ...tenant(), model: s.model, buildId: s.build, history: [prompt.value], parameters }, signal)) {
      if (chunk?.text) s.text.append(chunk.text);
      if (finish) s.written = finish.text ?? "";
    }
    s.text.textContent = s.written || "It said nothing.";
  }

  // judge has each build score both texts, on their own.
  async function judge(signal) {
    const written = sides.filter((s) => s.written);
    if (!written.length) return;
    const told = await Promise.all(sides.map((s) => ask("inference/Score", { ...tenant(), model: s.model, buildId: s.build, texts: written.map((w) => w.written), tokens: true }, signal)));
    const same = sides[0].written === sides[1].written;
    const name = (s) => `${s.model}, build ${s.build}`;
    const rows = written.slice(0, same ? 1 : 2).map((w, i) => ({
      cells: [same ? "Both texts" : `Text of ${name(w)}`, count(told[0].scores[i].tokens), ...told.flatMap((t) => [log(t.scores[i].log10Probability), figure(10 ** (-t.scores[i].log10Probability / Number(t.scores[i].tokens || 1)))])],
    }));
    show(scores, h("section", { class: "block", "aria-label": "Scores" },
      h("h2", {}, same ? "Both say the same" : "What each build thinks of both"),
      table("Each text scored on its own, without the prompt", ["Text", "#Tokens", ...sides.flatMap((s) => [`#log₁₀ p by build ${s.build}`, `#perplexity by build ${s.build}`])], rows),
      written.slice(0, same ? 1 : 2).map((w, i) => words(told, i, w, same))));
  }

  // words sets the two builds beside one another word by word, where both cut the text alike.
  function words(told, i, w, same) {
    const [a, b] = told.map((t) => (t.scores[i].sentences ?? []).flatMap((x) => x.tokens ?? []));
    if (a.length !== b.length || a.some((t, k) => t.token.text !== b[k].token.text)) return h("p", { class: "hint" }, "The two models cut this text differently, so its words are not set beside one another.");
    return h("details", { open: same || undefined }, h("summary", {}, same ? "Word by word" : `Word by word: text of ${w.model}, build ${w.build}`),
      table("Difference above 0: the second build finds the word likelier", ["Word", `#log₁₀ p by build ${sides[0].build}`, `#log₁₀ p by build ${sides[1].build}`, "#Difference", "#Orders found"], a.map((t, k) => {
        const difference = b[k].log10Probability - t.log10Probability;
        return { "aria-current": Math.abs(difference) >= 0.3 && "true", cells: [t.token.text, log(t.log10Probability), log(b[k].log10Probability), (difference >= 0.00005 ? "+" : "") + log(difference), `${t.matchedOrder ?? 0}, ${b[k].matchedOrder ?? 0}`] };
      })));
  }
}
