// Who talks to what: kept in this browser.
import { ask } from "./api.js";
import { button, choice, field, h, problem, sheet, show } from "./dom.js";

const key = "dbslm";
const defaults = { tenant: "", user: "anonymous", model: "default", bot: "default", language: "", profile: "", seed: "", everyone: false };

function read() {
  try {
    return { ...defaults, ...JSON.parse(localStorage.getItem(key) ?? "{}") };
  } catch {
    return { ...defaults }; // private windows have no storage
  }
}

export const settings = read();

export function change(values) {
  Object.assign(settings, values);
  try {
    localStorage.setItem(key, JSON.stringify(settings));
  } catch { /* they hold until the page is closed */ }
}

// tenant is the field that every request has.
export const tenant = () => ({ tenant: settings.tenant });

// asSeed reads a seed: a whole number from 0 to 2^64-1, or nothing.
export function asSeed(text) {
  if (text === "") return undefined;
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 1n << 64n) throw new Error("A seed is a whole number from 0 to 18446744073709551615.");
  return text;
}

// models lists the models, those without a published build too.
export async function models(signal) {
  return (await ask("models/ListModels", { ...tenant(), pageSize: 1000 }, signal)).models ?? [];
}

// openSettings lets them be changed, then calls changed and tells it whether the person or the tenant is another one.
export async function openSettings(changed) {
  const text = (name, props) => h("input", { value: settings[name], autocomplete: "off", ...props });
  const inputs = {
    user: text("user", { required: true, maxlength: 256 }),
    model: h("span"),
    profile: h("span"),
    bot: text("bot", { maxlength: 128 }),
    language: text("language", { maxlength: 32 }),
    seed: text("seed", { inputmode: "numeric", maxlength: 20 }),
    tenant: text("tenant", { maxlength: 64 }),
  };
  try {
    const [found, { profiles = [] }] = await Promise.all([models(), ask("profiles/ListProfiles", tenant()).catch(() => ({}))]);
    const names = found.map((m) => m.name);
    if (!names.includes(settings.model)) names.push(settings.model);
    inputs.model = choice(names.map((n) => [n, n]), settings.model);
    inputs.profile = choice([["", "the model's default"], ...profiles.map((p) => [p.name, p.name])], settings.profile);
  } catch {
    inputs.model = text("model", { maxlength: 128 });
    inputs.profile = text("profile", { maxlength: 128 });
  }
  const said = h("div");
  const form = h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      try {
        asSeed(inputs.seed.value.trim());
      } catch (error) {
        show(said, problem(error));
        inputs.seed.focus();
        return;
      }
      const { user, tenant } = settings;
      change(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()])));
      dialog.close();
      changed(user !== settings.user || tenant !== settings.tenant);
    },
  },
  field("Your name", inputs.user, "Corrections and facts in the scope of a person are kept under it."),
  field("Model", inputs.model),
  field("Decoding profile", inputs.profile),
  field("Bot", inputs.bot, "Whose concepts may speak."),
  field("Language", inputs.language, "A code such as en; empty for the bot's own."),
  field("Seed", inputs.seed, "The same seed gives the same reply; empty takes a new one each time."),
  field("Tenant", inputs.tenant, "Empty for the default one."),
  said,
  h("p", { class: "actions" }, h("button", { class: "strong" }, "Save"), button("Cancel", () => dialog.close())));
  const dialog = sheet("Settings", form);
}
