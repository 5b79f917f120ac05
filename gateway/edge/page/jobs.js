// Ingests and builds: how far each is, and stopping one.
import { ask } from "./api.js";
import { button, confirmed, count, h, moment, percent, table } from "./dom.js";
import { tenant } from "./settings.js";

const name = (constant, prefix) => (constant ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ") || "–";
const kind = (j) => name(j.kind, "KIND_") + (j.buildId ? ` ${j.buildId}` : "");

export const running = (j) => j.state === "STATE_RUNNING";

// What a job that is stopped leaves behind.
const leaves = {
  KIND_INGEST: "What it counted stays counted; training with the same texts goes on from there.",
  KIND_BUILD: "It leaves nothing, and the build that answers now goes on answering.",
  KIND_REBUILD: "The model that it reads stays as it is; the same command goes on from there.",
};

// jobsTable shows jobs. act does something and says in the page what came of it; asked holds the ids of jobs that were asked to stop:
// they do so at their next checkpoint.
export function jobsTable(jobs, asked, act) {
  if (!jobs.length) return h("p", { class: "hint" }, "None yet. Training and building are jobs: dbslm train, dbslm build.");
  const stop = (j) => act(async () => {
    if (!(await confirmed(`Stop the ${kind(j)} of ${j.model}?`, "Stop it", leaves[j.kind]))) return "";
    await ask("jobs/CancelJob", { ...tenant(), jobId: j.jobId });
    asked.add(j.jobId);
    return `Asked the ${kind(j)} of ${j.model} to stop`;
  });
  return table("The last 20", ["Job", "Model", "State", "Progress", "Phase", "Since"], jobs.map((j) => ({
    "data-key": j.jobId,
    cells: [kind(j), j.model, state(j, asked, stop), progress(j), j.message || (running(j) && j.phase) || "", moment(j.createTime)],
  })));
}

function state(j, asked, stop) {
  if (running(j) && asked.has(j.jobId)) return h("span", { class: "tag" }, "stopping");
  const tag = h("span", { class: `tag ${j.state === "STATE_DONE" ? "on" : j.state === "STATE_FAILED" ? "off" : ""}` }, name(j.state, "STATE_"));
  return running(j) ? h("span", { class: "whole" }, tag, " ", button("Stop", () => stop(j), { class: "quiet", "aria-label": `Stop the ${kind(j)} of ${j.model}` })) : tag;
}

function progress(j) {
  if (!running(j)) return j.done ? count(j.done) : "";
  const total = Number(j.total ?? 0);
  const share = total ? Math.min(1, Number(j.done ?? 0) / total) : undefined;
  return [h("progress", { max: 1, value: share, "aria-label": `${kind(j)} of ${j.model}` }), h("span", { class: "hint" }, share === undefined ? `${count(j.done)} done` : percent(share))];
}
