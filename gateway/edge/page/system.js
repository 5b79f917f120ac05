// What is running and what there is: services, models, builds, jobs. It looks again by itself while the page can be seen.
import { ask } from "./api.js";
import { modelCards } from "./builds.js";
import { button, h, problem, renew, say, show, table } from "./dom.js";
import { jobsTable, running } from "./jobs.js";
import { models as listModels, tenant } from "./settings.js";

export const title = "System";

export function view(main) {
  const section = (label) => {
    const heading = h("h2", { tabindex: "-1" }, label);
    const said = h("div");
    const node = h("div");
    return { node, said, heading, whole: h("section", { class: "block", "aria-label": label }, heading, said, node) };
  };
  const jobs = section("Jobs");
  const models = section("Models and builds");
  const services = section("Services");
  const trouble = h("div");
  show(main, h("h1", { tabindex: "-1" }, "System"), trouble, jobs.whole, models.whole, services.whole);
  const leave = new AbortController();
  const asked = new Set(); // ids of jobs that were asked to stop
  const builds = new Map();
  let timer = 0;
  let looks = 0;

  async function look() {
    clearTimeout(timer);
    const turn = ++looks;
    let busy = false;
    try {
      const status = await ask("gateway/GetStatus", tenant(), leave.signal);
      if (turn !== looks) return; // what was asked later is newer
      renew(services.node, servicesTable(status)); // whatever the others answer
      const [found, recent] = await Promise.all([listModels(leave.signal), ask("jobs/ListJobs", { ...tenant(), pageSize: 20 }, leave.signal)]);
      const list = recent.jobs ?? [];
      busy = list.some(running);
      const cards = await modelCards(found, list, builds, actIn(models), leave.signal);
      if (turn !== looks) return;
      show(trouble);
      renew(jobs.node, jobsTable(list, asked, actIn(jobs)));
      renew(models.node, cards);
    } catch (error) {
      if (error.name === "AbortError" || turn !== looks) return;
      renew(trouble, problem(error));
    }
    timer = setTimeout(() => (document.hidden ? null : look()), busy ? 500 : 2000);
  }

  // actIn is for the buttons of a section: it does something, shows what came of it at once, and what went wrong with what can be done
  // about it. A button that is gone by then leaves the focus to the section's heading.
  const actIn = ({ said, heading }) => async function act(what) {
    try {
      const done = await what();
      if (!done) return;
      show(said);
      say(done);
      await look();
    } catch (error) {
      const [label, again] = error.action ?? [];
      show(said, problem(error, label && button(label, () => act(again), { class: "strong" })));
      await look();
    }
    if (document.activeElement === document.body) heading.focus();
  };

  const seen = () => { if (!document.hidden) look(); };
  document.addEventListener("visibilitychange", seen);
  look();
  return () => { leave.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
}

function servicesTable(status) {
  return [table("Services behind the gateway", ["Service", "State", "Detail"], (status.peers ?? []).map((p) => ({
    cells: [p.service, h("span", { class: `tag ${p.reachable ? "on" : "off"}` }, p.reachable ? "reachable" : "not reachable"), p.detail ?? ""],
  }))), h("p", { class: "hint" }, `Version ${status.version ?? "unknown"}.`)];
}
