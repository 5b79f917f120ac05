// The page: which view is open, by the part of the address behind "#". Nothing is done by opening an address, only shown.
import * as chat from "./chat.js";
import * as compare from "./compare.js";
import { show } from "./dom.js";
import * as glass from "./glass.js";
import * as memory from "./memory.js";
import { openSettings } from "./settings.js";
import * as system from "./system.js";

const views = { chat, memory, compare, system };
const main = document.getElementById("main");
let leave = null;
let open = "";

function route(again) {
  const [first = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const name = Object.hasOwn(views, first) ? first : "chat";
  if (name === "chat" && open === "chat" && !again && views.chat.follow(first === "c" ? rest[0] : "")) return;
  leave?.();
  glass.close();
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const moved = open !== "" && open !== name;
  open = name;
  main.className = name;
  show(main);
  leave = views[name].view(main, first === "c" ? [rest[0]] : rest) ?? null;
  document.title = `${views[name].title} – DB-SLM`;
  if (moved) (main.querySelector("h1") ?? main).focus();
}

addEventListener("hashchange", () => { if (location.hash !== "#main") route(false); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
// A conversation stays as it is, with what could not be sent, unless it is somebody else's now.
document.getElementById("settings").addEventListener("click", () => openSettings((other) => { if (other || !main.querySelector(".said")) route(true); }));
route(false);
