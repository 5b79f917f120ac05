// What is running and what there is: services, models, builds, jobs. It looks again by itself while the page can be seen.
import { all, ask } from "./api.js";
import { count, figure, h, moment, percent, plural, problem, show, table } from "./dom.js";
import { tenant } from "./settings.js";

export const title = "System";

const name = (constant, prefix) => (constant ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ") || "–";
const size = (bytes) => { let n = Number(bytes ?? 0); for (const unit of ["B", "kB", "MB", "GB"]) { if (n < 1000) return `${figure(n, 3)} ${unit}`; n /= 1000; } return `${figure(n, 3)} TB`; };

export function view(main) {
  const services = h("div");
  const jobs = h("div");
  const models = h("div");
  const trouble = h("div");
  show(main, h("h1", { tabindex: "-1" }, "System"), trouble,
    h("section", { class: "block", "aria-label": "Jobs" }, h("h2", {}, "Jobs"), jobs),
    h("section", { class: "block", "aria-label": "Models and builds" }, h("h2", {}, "Models and builds"), models),
    h("section", { class: "block", "aria-label": "Services" }, h("h2", {}, "Services"), services));
  const leave = new AbortController();
  let timer = 0;
  let known = ""; // what the builds were drawn for: they change when a job or a published build does

  async function look() {
    let busy = false;
    try {
      const [status, recent] = await Promise.all([
        ask("gateway/GetStatus", tenant(), leave.signal),
        ask("jobs/ListJobs", { ...tenant(), pageSize: 20 }, leave.signal),
      ]);
      const list = recent.jobs ?? [];
      busy = list.some((j) => j.state === "STATE_RUNNING");
      show(trouble);
      drawServices(services, status);
      drawJobs(jobs, list);
      const now = JSON.stringify([status.models, list.map((j) => [j.jobId, j.state])]);
      if (now !== known) {
        await drawModels(models, status.models ?? [], leave.signal);
        known = now;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      show(trouble, problem(error));
    }
    timer = setTimeout(() => (document.hidden ? null : look()), busy ? 500 : 2000);
  }
  const seen = () => { if (!document.hidden) { clearTimeout(timer); look(); } };
  document.addEventListener("visibilitychange", seen);
  look();
  return () => { leave.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
}

function drawServices(node, status) {
  show(node, table("Services behind the gateway", ["Service", "State", "Detail"], (status.peers ?? []).map((p) => ({
    cells: [p.service, h("span", { class: `tag ${p.reachable ? "on" : "off"}` }, p.reachable ? "reachable" : "not reachable"), p.detail ?? ""],
  }))), h("p", { class: "hint" }, `Version ${status.version ?? "unknown"}.`));
}

// drawJobs keeps what did not change, so that the place of a reader is kept too.
function drawJobs(node, list) {
  const drawn = JSON.stringify(list);
  if (node.dataset.drawn === drawn) return;
  node.dataset.drawn = drawn;
  if (!list.length) {
    show(node, h("p", { class: "hint" }, "None yet. Training and building are jobs: dbslm train, dbslm build."));
    return;
  }
  show(node, table("The last 20", ["Job", "Model", "State", "Phase", "Progress", "Since"], list.map((j) => {
    const total = Number(j.total ?? 0);
    const share = total ? Number(j.done ?? 0) / total : undefined;
    const running = j.state === "STATE_RUNNING";
    return {
      cells: [
        name(j.kind, "KIND_") + (j.buildId ? ` ${j.buildId}` : ""), j.model, h("span", { class: `tag ${j.state === "STATE_DONE" ? "on" : j.state === "STATE_FAILED" ? "off" : ""}` }, name(j.state, "STATE_")),
        j.message || j.phase || "",
        running ? [h("progress", { max: 1, value: share, "aria-label": `${name(j.kind, "KIND_")} of ${j.model}` }), h("span", { class: "hint" }, share === undefined ? `${count(j.done)} done` : percent(share))] : j.done ? count(j.done) : "",
        moment(j.createTime),
      ],
    };
  })));
}

async function drawModels(node, models, signal) {
  const cards = await Promise.all(models.map(async (m) => {
    const builds = await all("builds/ListBuilds", { ...tenant(), model: m.name, pageSize: 50 }, "builds", 50, signal);
    return h("div", { class: "card" },
      h("p", { class: "value" }, h("b", {}, m.name), " ", m.publishedBuildId ? h("span", { class: "tag on" }, `build ${m.publishedBuildId} answers`) : h("span", { class: "tag off" }, "no build is published"),
        m.stale && [" ", h("span", { class: "tag" }, "text was counted since")], m.trainingBy && [" ", h("span", { class: "tag" }, `training: ${m.trainingBy}`)]),
      h("p", { class: "hint" }, `Order ${m.settings?.order ?? "?"} · ${plural(m.documents, "document")} · ${plural(m.tokens, "token")} · ${plural(m.vocabularySize, "word")} · n-grams ${(m.ngramCounts ?? []).map(count).join(" + ")}`),
      builds.length > 0 && table(`Builds of ${m.name}`, ["Build", "State", "Estimator", "Storage", "#Words", "#N-grams", "#Size", "#Perplexity", "Made"], builds.map((b) => ({
        "aria-current": b.published && "true",
        cells: [b.buildId, b.failure || (b.published ? "published" : name(b.state, "STATE_")), name(b.smoothing, "SMOOTHING_"), name(b.storage, "STORAGE_"), count(b.vocabularySize), count((b.ngramCounts ?? []).reduce((sum, n) => sum + BigInt(n), 0n)),
          b.sizeBytes ? size(b.sizeBytes) : "–", b.heldOut ? figure(b.heldOut.perplexity) : "–", moment(b.createTime)],
      }))));
  }));
  show(node, h("div", { class: "cards" }, cards.length ? cards : h("p", { class: "hint" }, "No model yet: dbslm train TEXT makes one.")));
}
