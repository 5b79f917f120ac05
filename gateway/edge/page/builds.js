// Models with their builds, and which build answers: publishing another, and going back.
import { all, ask } from "./api.js";
import { button, confirmed, count, figure, h, moment, plural, table } from "./dom.js";
import { tenant } from "./settings.js";

const smoothings = { SMOOTHING_MODIFIED_KNESER_NEY: "modified Kneser–Ney", SMOOTHING_JELINEK_MERCER: "Jelinek–Mercer", SMOOTHING_WITTEN_BELL: "Witten–Bell" };
const storages = { STORAGE_8: "8 bits", STORAGE_16: "16 bits", STORAGE_EXACT: "exact" };
const states = { STATE_BUILDING: "building", STATE_READY: "ready", STATE_FAILED: "failed", STATE_DROPPED: "dropped" };
const size = (bytes) => { let n = Number(bytes ?? 0); for (const unit of ["B", "kB", "MB", "GB"]) { if (n < 1000) return `${figure(n, 3)} ${unit}`; n /= 1000; } return `${figure(n, 3)} TB`; };

// modelCards fetches the builds of these models and shows both. kept holds what was fetched, until a job or the published build of the
// model changes. act does something and says in the page what came of it.
export async function modelCards(models, jobs, kept, act, signal) {
  if (!models.length) return h("p", { class: "hint" }, "No model yet: dbslm train TEXT makes one.");
  return h("div", { class: "cards" }, await Promise.all(models.map(async (m) => {
    const key = JSON.stringify([m.publishedBuildId, jobs.filter((j) => j.model === m.name).map((j) => [j.jobId, j.state])]);
    if (kept.get(m.name)?.key !== key) kept.set(m.name, { key, builds: await all("builds/ListBuilds", { ...tenant(), model: m.name, pageSize: 50 }, "builds", 50, signal) });
    return card(m, kept.get(m.name).builds, act);
  })));
}

function card(m, builds, act) {
  return h("div", { class: "card", "data-key": m.name },
    h("p", { class: "value" }, h("b", {}, m.name), " ", m.publishedBuildId ? h("span", { class: "tag on" }, `build ${m.publishedBuildId} answers`) : h("span", { class: "tag off" }, "no build is published"),
      m.stale && [" ", h("span", { class: "tag" }, "text was counted since")], m.trainingBy && [" ", h("span", { class: "tag" }, `training: ${m.trainingBy}`)]),
    h("p", { class: "hint" }, `Order ${m.settings?.order ?? "?"} · ${plural(m.documents, "document")} · ${plural(m.tokens, "token")} · ${plural(m.vocabularySize, "word")} · n-grams ${(m.ngramCounts ?? []).map(count).join(" + ")}`),
    builds.length > 0 && table(`Builds of ${m.name}`, ["Build", "State", "Estimator", "Storage", "#Words", "#N-grams", "#Size", "#Perplexity", "Made"], builds.map((b) => ({
      "aria-current": b.published && "true", "data-key": b.buildId,
      cells: [b.buildId, state(b, builds, act), smoothings[b.smoothing] ?? "–", storages[b.storage] ?? "–", count(b.vocabularySize), count((b.ngramCounts ?? []).reduce((sum, n) => sum + BigInt(n), 0n)),
        b.sizeBytes ? size(b.sizeBytes) : "–", b.heldOut ? figure(b.heldOut.perplexity) : "–", moment(b.createTime)],
    }))));
}

function state(b, builds, act) {
  const ready = (x) => x.state === "STATE_READY";
  const others = builds.some((x) => ready(x) && !x.published);
  if (b.published) return h("span", { class: "whole" }, "published ", others && button("Roll back", () => act(() => rollBack(b)), { class: "quiet", "aria-label": `Roll back build ${b.buildId} of ${b.model}` }));
  if (!ready(b)) return b.failure || (states[b.state] ?? "–");
  return h("span", { class: "whole" }, "ready ", button("Publish", () => act(() => publish(b, false)), { class: "quiet", "aria-label": `Publish build ${b.buildId} of ${b.model}` }));
}

// publish has a build answer from now on. What the gate of the model's policy refuses can be published all the same, once it was read why.
async function publish(b, force) {
  const question = `Publish build ${b.buildId} of ${b.model}?`;
  if (!force && !(await confirmed(question, "Publish", "Replies come from it at once. Those that were given stay as they are, and rolling back undoes it."))) return "";
  try {
    await ask("builds/PublishBuild", { ...tenant(), model: b.model, buildId: b.buildId, force });
  } catch (error) {
    if (error.reason === "BUILD_WORSE" && !force) error.action = ["Publish all the same", () => publish(b, true)];
    throw error;
  }
  return `Build ${b.buildId} of ${b.model} answers now`;
}

// rollBack has the build answer that did before. A second click of it, or of somebody else, does not go back twice.
async function rollBack(b) {
  if (!(await confirmed(`Roll back build ${b.buildId} of ${b.model}?`, "Roll back", "The build that answered before answers again, at once. Publishing this one again undoes it."))) return "";
  const { build } = await ask("builds/RollbackBuild", { ...tenant(), model: b.model, fromBuildId: b.buildId });
  return `Build ${build.buildId} of ${b.model} answers again`;
}
