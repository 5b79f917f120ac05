// What a person does on the web page, in a headless Chromium. Run by tools/web-test.
const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { readFileSync, mkdirSync } = require("node:fs");
const http = require("node:http");
const puppeteer = require("puppeteer-core");

const { URL: url, CHROMIUM: chromium, SHOTS: shots } = process.env;
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// Everything that somebody can write is this once; were it HTML, it would run. A slash would end the name of a file.
const hostile = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>"'><svg onload=pwned=1>{{7*7}}\${7*7}`;

let browser;
before(async () => {
  browser = await puppeteer.launch({ executablePath: chromium, headless: true, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  if (shots) mkdirSync(shots, { recursive: true });
});
after(() => browser.close());

// visit opens the page with a clean browser, and fails the test on whatever the page did wrong by itself.
async function visit(t, { width = 1280, height = 860, path = "", dark = false, still = false, settings = {}, expected } = {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const wrong = [];
  page.expected = expected; // of what the browser itself says of refused requests
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (m) => { if (m.type() === "error" && !page.expected?.test(m.text() + m.location().url)) wrong.push(m.text()); });
  page.on("request", (r) => { if (!r.url().startsWith(url)) wrong.push(`asked ${r.url()}`); });
  page.on("dialog", (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.setViewport({ width, height, isMobile: width < 500, hasTouch: width < 500 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }, { name: "prefers-reduced-motion", value: still ? "reduce" : "no-preference" }]);
  await page.evaluateOnNewDocument((value) => {
    if (location.protocol.startsWith("http")) localStorage.setItem("dbslm", value);
    addEventListener("securitypolicyviolation", (e) => console.error(`against the policy: ${e.violatedDirective} ${e.sourceFile} ${e.sample}`));
  }, JSON.stringify({ user: `user-${t.name}`, seed: "7", ...settings }));
  await page.goto(url + path);
  await page.waitForSelector("h1");
  t.after(async () => {
    const pwned = await page.evaluate(() => window.pwned);
    await context.close();
    assert.equal(pwned, undefined, "a text was run");
    assert.deepEqual(wrong, []);
  });
  return page;
}

const shot = (page, name) => shots && page.screenshot({ path: `${shots}/${name}.png` });

async function say(page, text) {
  const before = await page.$$eval(".reply .meta button", (l) => l.length);
  await page.focus("textarea");
  await page.keyboard.sendCharacter(text);
  await page.keyboard.press("Enter");
  await page.waitForFunction((n) => document.querySelectorAll(".reply .meta button").length > n, { timeout: 20_000 }, before);
  return page.$$eval(".reply .text", (l) => l.at(-1).textContent);
}

// press clicks the button with this text, in the last element that a selector finds.
async function press(page, within, label) {
  const found = await page.waitForFunction((within, label) => [...([...document.querySelectorAll(within)].at(-1)?.querySelectorAll("button, a, summary") ?? [])].find((b) => b.textContent.startsWith(label)), {}, within, label);
  await found.evaluate((b) => { b.scrollIntoView({ block: "center" }); b.click(); });
}

// look clicks a word of the reply with this number and waits for its rows.
async function look(page, reply, word) {
  await page.evaluate((reply, word) => {
    const words = [...[...document.querySelectorAll(".reply")].at(reply).querySelectorAll(".word")];
    (typeof word === "number" ? words[word] : words.find((w) => w.textContent.includes(word))).click();
  }, reply, word);
  await page.waitForSelector("#glass .token[aria-pressed=true]", { timeout: 20_000 });
}

const inGlass = (page) => page.$eval("#glass", (g) => g.innerText);

async function rpc(method, body) {
  const response = await fetch(`${url}dbslm.${method}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: [body].flat().map((m) => JSON.stringify(m)).join("\n") });
  const answers = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(response.ok && !answers.at(-1).error, JSON.stringify(answers));
  return answers.at(-1);
}

// begin opens an RPC that takes messages, and leaves it open: its job runs for as long as a test wants. ended is what it answered, line by line.
function begin(method) {
  const request = http.request(`${url}dbslm.${method}`, { method: "POST", headers: { "Content-Type": "application/json" } });
  const ended = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      try {
        for await (const part of response) text += part;
      } catch (error) { reject(error); }
      request.destroy();
      resolve(text.trim().split("\n").map((line) => JSON.parse(line)));
    });
  });
  return { send: (...messages) => messages.forEach((m) => request.write(`${JSON.stringify(m)}\n`)), end: () => request.end(), ended };
}

const says = (page, pattern, timeout = 10_000) => page.waitForFunction((source) => new RegExp(source).test(document.querySelector("main").innerText), { timeout }, pattern.source).catch(async (error) => { throw new Error(`${pattern} was not said in: ${await page.$eval("main", (m) => m.innerText)}`, { cause: error }); });

// accessible has axe look at what is open. It is injected past the page's policy, as a browser's own tools are.
async function accessible(page, what) {
  const session = await page.createCDPSession();
  await session.send("Runtime.evaluate", { expression: axe });
  await session.detach();
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(found.violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")}`), [], what);
  assert.ok(found.passes.length > 15, `axe looked at ${found.passes.length} rules only`);
}

const fits = async (page, what) => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && innerWidth <= screen.width), `${what} is wider than the screen`);

test("chat, correct, and see the answer change", async (t) => {
  const page = await visit(t);
  await shot(page, "empty");
  const first = await say(page, "Tell me about the lantern.");
  assert.match(first, /lantern/);
  assert.match(page.url(), /#\/c\/[0-9a-f-]{36}$/);
  await page.evaluate(() => {
    const word = [...document.querySelectorAll(".reply .word")].find((w) => w.textContent.startsWith("lantern"));
    getSelection().selectAllChildren(word);
  });
  await press(page, ".reply", "Correct “lantern”");
  assert.equal(await page.$eval(".correction input", (i) => i.value), "lantern");
  await page.keyboard.type("brass lamp");
  await page.click(".correction input[type=checkbox]");
  await shot(page, "correcting");
  await accessible(page, "the form of a correction");
  await press(page, ".correction", "Save the correction");
  await page.waitForSelector(".done");
  await press(page, ".done", "Ask again");
  await page.waitForFunction(() => document.querySelectorAll(".reply .meta button").length === 4);
  const second = await page.$$eval(".reply .text", (l) => l.at(-1).textContent);
  assert.notEqual(second, first);
  assert.match(second, /brass lamp/);
  // Level 1 says the right words in the place of the wrong ones, and the glass box says what it would have said.
  let third = "";
  for (const ask of ["What does Mara light at dusk?", "Where does it walk?", "Tell me about the walk.", "What hangs there?"]) {
    third = await say(page, ask);
    await press(page, ".reply:last-child", "Look inside");
    await page.waitForSelector("#glass .strip");
    if (await page.$("#glass .token.replaced")) break;
  }
  assert.match(third, /brass lamp/i, "no reply said the corrected word");
  await page.evaluate(() => document.querySelector("#glass .token.replaced + .token.span").click());
  assert.match(await inGlass(page), /The model drew lantern; the correction writes brass lamp in its place/);
  assert.match(await inGlass(page), /in the reply because of it/);
  await shot(page, "corrected");
  await accessible(page, "a corrected word");
});

test("click a word and see its rows", async (t) => {
  const page = await visit(t, { width: 1440 });
  await say(page, "Tell me about the lantern.");
  await look(page, -1, "walk");
  await page.waitForFunction(() => /in \d+ documents?/.test(document.getElementById("glass").innerText));
  const conversation = page.url().split("/").at(-1);
  const { messages } = await rpc("gateway.v1.GatewayService/GetHistory", { conversationId: conversation });
  const told = await rpc("gateway.v1.GatewayService/Explain", { messageId: messages[1].messageId, candidates: 10, rows: { documents: true, sql: true } });
  const word = told.segments[0].tokens.find((x) => x.token.text === "walk");
  const matched = word.explanation.orders.find((o) => o.role === "ROLE_MATCHED");
  const cells = await page.$$eval("#glass table tr[aria-current] > *", (l) => l.map((c) => c.textContent));
  assert.ok(cells.includes("walk") && cells.includes("found"), `the rows show ${cells}`);
  assert.ok(cells.includes(matched.count.raw) && cells.includes(`${matched.count.adjusted} of ${matched.contextRow.adjustedTotal}`), `the rows show ${cells}`);
  assert.ok(cells.includes(matched.probability.log10.toFixed(4).replace("-", "−")), `the rows show ${cells}`);
  const rows = await page.$$eval("#glass table", (l) => l.map((x) => [x.caption.textContent, x.tBodies[0].rows.length]));
  assert.deepEqual(rows[0], ["Runners-up, and their probability after each stage", 10]);
  assert.deepEqual(rows[1], ["Rows, from the longest context down", 4]);
  const sql = await page.$$eval("#glass pre", (l) => l.map((p) => p.textContent));
  for (const s of word.explanation.statements) assert.ok(sql.includes(s.statement), s.title);
  assert.match(await inGlass(page), /lantern\.txt/);
  await shot(page, "glass");
  await page.$$eval("#glass details", (l) => l.forEach((d) => { d.open = true; }));
  await accessible(page, "the glass box");
  await press(page, "#glass", "Replay");
  await page.waitForFunction(() => /Every byte is the same/.test(document.getElementById("glass").innerText));
  // The build before did not know Mara.
  assert.match(await say(page, "What does Mara light at dusk?"), /Mara/);
  await press(page, ".reply:last-child", "Look inside");
  await page.waitForSelector("#glass select");
  await page.select("#glass select", "1");
  await press(page, "#glass", "Replay");
  await page.waitForFunction(() => document.querySelector("#glass mark"));
  await shot(page, "replay");
});

test("a concept's span shows template and slots", async (t) => {
  const page = await visit(t);
  await say(page, "What are your opening hours?");
  await look(page, -1, 0);
  const text = await inGlass(page);
  for (const part of [/Said by the concept OpeningHours/, /\{weekday_hours\}/, /the concept’s own data/, /What spoke for it: .*hours ⟨end⟩/, /chosen with probability/]) assert.match(text, part);
  await shot(page, "concept");
  await accessible(page, "a concept's span");
});

test("what failed is tried again as the same request", async (t) => {
  const page = await visit(t, { expected: /net::ERR_FAILED|StreamRespond/ });
  await page.setRequestInterception(true);
  const sent = [];
  const fates = ["abort", "busy", "lost", "go"];
  page.on("request", async (r) => {
    if (!r.url().endsWith("/StreamRespond")) return r.continue();
    sent.push(JSON.parse(r.postData()).request);
    const fate = fates.shift();
    if (fate === "abort") r.abort("failed");
    else if (fate === "busy") r.respond({ status: 429, headers: { "Retry-After": "3" }, contentType: "application/json", body: JSON.stringify({ error: { message: "2 requests are being answered" } }) });
    else if (fate === "lost") { // it is answered, but the answer does not arrive
      await fetch(r.url(), { method: "POST", headers: { "Content-Type": "application/json" }, body: r.postData() }).then((x) => x.text());
      r.abort("failed");
    } else r.continue();
  });
  await page.focus("textarea");
  await page.keyboard.type("Tell me about the lantern.\n");
  await page.waitForSelector(".reply .problem");
  assert.match(await page.$eval(".problem", (p) => p.textContent), /cannot be reached.*dbslm serve/);
  await shot(page, "failed");
  await accessible(page, "an error");
  await press(page, ".problem", "Try again");
  await page.waitForFunction(() => /Try again in 3 seconds/.test(document.querySelector(".problem")?.textContent));
  await press(page, ".problem", "Try again");
  await page.waitForFunction(() => /cannot be reached/.test(document.querySelector(".problem")?.textContent));
  await press(page, ".problem", "Try again");
  await page.waitForSelector(".reply .meta button");
  assert.equal(sent.length, 4);
  for (const request of sent) assert.deepEqual(request, sent[0]);
  const { messages } = await rpc("gateway.v1.GatewayService/GetHistory", { conversationId: sent[0].conversationId });
  assert.deepEqual(messages.map((m) => m.sender), ["SENDER_USER", "SENDER_ASSISTANT"]);
  assert.equal(await page.$$eval(".log > li", (l) => l.length), 2);
  // Stopping a turn leaves the page usable, whatever was said by then.
  await page.focus("textarea");
  await page.keyboard.type("And the quay?\n");
  await page.$$eval(".composer button", (l) => l.at(-1).click());
  await page.waitForFunction(() => !document.querySelector("[aria-busy]") && document.querySelector(".composer button:last-child").hidden);
  assert.ok(await say(page, "Who works here?"));
});

test("what cannot be done is said, with what to do", async (t) => {
  const page = await visit(t, { path: "#/c/nothing", settings: { model: "nothing" }, expected: /404/ });
  await page.waitForFunction(() => /There is no conversation "nothing"[^]*Begin a new conversation/.test(document.querySelector(".problem")?.innerText));
  await accessible(page, "an unknown conversation");
  await press(page, ".problem", "Begin a new conversation");
  await page.waitForFunction(() => document.querySelector("h1").textContent === "New conversation");
  await page.focus("textarea");
  await page.keyboard.type("Tell me about the lantern.\n");
  await page.waitForFunction(() => /There is no model "nothing"; train it/.test(document.querySelector(".problem")?.innerText));
  await press(page, ".problem", "Change the settings");
  await page.waitForSelector("dialog select");
  await page.select("dialog select", "default");
  await press(page, "dialog", "Save");
  await press(page, ".problem", "Try again");
  await page.waitForSelector(".reply .meta button");
  await page.goto(`${url}#/compare`);
  await page.waitForSelector("main option");
  await page.$eval("main form input", (i) => { i.value = "-1"; });
  await press(page, "main form", "Compare");
  await page.waitForFunction(() => /A seed is a whole number/.test(document.querySelector(".problem")?.innerText));
});

test("a service that is down hides nothing of the others", async (t) => {
  const page = await visit(t, { path: "#/system", expected: /ListJobs/ });
  await says(page, /build 2 answers/);
  await page.setRequestInterception(true);
  let down = true;
  page.on("request", (r) => {
    if (!down) r.continue();
    else if (r.url().endsWith("/ListJobs")) r.respond({ status: 503, contentType: "application/json", body: JSON.stringify({ code: 14, message: "ngram cannot be reached" }) });
    else if (r.url().endsWith("/GetStatus")) r.respond({ contentType: "application/json", body: JSON.stringify({ peers: [{ service: "ngram", detail: "connection refused" }, { service: "memory", reachable: true }] }) });
    else r.continue();
  });
  await says(page, /Ngram cannot be reached[^]*build 2 answers[^]*ngram\s+not reachable\s+connection refused\s+memory\s+reachable/);
  await accessible(page, "a service that is down");
  await shot(page, "down");
  down = false;
  await page.waitForFunction(() => !document.querySelector(".problem")); // it looks again by itself
});

test("with the keyboard alone", async (t) => {
  const page = await visit(t);
  const focused = () => page.evaluate(() => { const a = document.activeElement; return a.getAttribute("aria-label") ?? a.textContent.trim(); });
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  const order = [];
  for (let i = 0; i < 20 && order.at(-1) !== "Message"; i++) {
    await page.keyboard.press("Tab");
    order.push(await focused());
  }
  assert.deepEqual(order.slice(0, 6), ["DB-SLM", "Chat", "Memory", "Compare", "System", "Settings"]);
  assert.equal(order.at(-1), "Message");
  await page.keyboard.type("Tell me about the lantern.");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".reply .meta button");
  await page.keyboard.down("Shift");
  for (let i = 0; i < 4 && (await focused()) !== "Look inside"; i++) await page.keyboard.press("Tab");
  await page.keyboard.up("Shift");
  assert.equal(await focused(), "Look inside");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#glass .strip");
  assert.equal(await focused(), "Inside this reply");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Close");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "lantern");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "the focus cannot be seen");
  await page.keyboard.press("Enter");
  assert.match(await inGlass(page), /The word “lantern”/);
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "Look inside");
  assert.ok(await page.$eval("#glass", (g) => g.hidden));
});

test("on a phone, in the dark, without motion", async (t) => {
  const page = await visit(t, { width: 320, height: 640, dark: true, still: true });
  await say(page, "Tell me about the lantern.");
  await fits(page, "the chat");
  await shot(page, "phone-chat");
  await accessible(page, "the chat on a phone");
  await look(page, -1, 1);
  await fits(page, "the glass box");
  const box = await page.$eval("#glass", (g) => { const r = g.getBoundingClientRect(); return [r.left, r.width]; });
  assert.deepEqual(box, [0, 320]);
  await shot(page, "phone-glass");
  await accessible(page, "the glass box on a phone");
  await press(page, "#glass", "Close");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(21, 23, 26)");
  assert.equal(await page.evaluate(() => { const d = document.createElement("span"); d.className = "dots"; document.body.append(d); return getComputedStyle(d).animationName; }), "none");
  for (const view of ["memory", "compare", "system"]) {
    await page.goto(`${url}#/${view}`);
    await pause(800);
    await fits(page, view);
    await shot(page, `phone-${view}`);
    await accessible(page, `${view} on a phone`);
    if (view !== "compare") continue;
    await press(page, "main form", "Compare");
    await page.waitForSelector("main table");
    await fits(page, "a comparison");
    await page.$eval(".versus", (v) => v.scrollIntoView());
    await shot(page, "phone-compared");
    await accessible(page, "a comparison on a phone");
  }
  await press(page, "header", "Settings");
  await page.waitForSelector("dialog[open] select");
  await fits(page, "the settings");
  await shot(page, "phone-settings");
});

test("what is written from right to left", async (t) => {
  const text = "המנורה תלויה ליד הדלת. מרה מדליקה את המנורה בערב.";
  await rpc("gateway.v1.GatewayService/Train", [{ header: { ingest: { model: "hebrew" } } }, { start: { label: "עברית" } }, { chunk: Buffer.from(text).toString("base64") }, { end: {} }]);
  const page = await visit(t, { settings: { model: "hebrew" } });
  const reply = await say(page, "ספרי לי על המנורה.");
  assert.match(reply, /^[א-ת][א-ת .,]+$/);
  const direction = (selector) => page.$$eval(selector, (l) => getComputedStyle(l.at(-1)).direction);
  for (const shown of [".said .text", ".reply .text", ".talk h1", ".entries .name"]) assert.equal(await direction(shown), "rtl", shown);
  assert.equal(await direction(".reply .meta"), "ltr");
  await look(page, -1, 0);
  const [first, second] = await page.$$eval("#glass .token", (l) => l.slice(0, 2).map((b) => b.getBoundingClientRect().left));
  assert.ok(first > second, "the words stand in the wrong order");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), reply.split(/[ .,]+/)[1]);
  await shot(page, "right-to-left");
  await accessible(page, "a text from right to left");
});

test("memory: remember, hold more widely, revoke", async (t) => {
  const page = await visit(t);
  await say(page, "Who bakes the apple cake?");
  await press(page, ".reply", "Correct");
  await page.keyboard.type("herring");
  await page.keyboard.press("Tab");
  await page.keyboard.type("Nuala\n");
  await page.waitForSelector(".done");
  await page.goto(`${url}#/memory`);
  await page.waitForFunction(() => /herring → Nuala/.test(document.querySelector(".card")?.innerText)); // the newest comes first
  await press(page, "section[aria-label=Corrections] .card:first-child", "Hold for user-");
  await page.waitForFunction(() => /herring → Nuala\s+holds for user-memory/.test(document.querySelector(".card")?.innerText));
  await press(page, "main", "Remember a fact");
  for (const [i, value] of ["the loft", "keeper", "Mara"].entries()) await (await page.$$("details form input"))[i].type(value);
  await press(page, "details form", "Remember");
  await page.waitForFunction(() => /the loft · keeper: Mara/.test(document.querySelector("main").innerText));
  await shot(page, "memory");
  await accessible(page, "memory");
  await press(page, "section[aria-label=Facts] .card", "Retire");
  await press(page, "section[aria-label=Corrections] .card:first-child", "Revoke");
  await page.waitForSelector("dialog[open]");
  await accessible(page, "a question");
  await press(page, "dialog", "Revoke");
  await page.waitForFunction(() => !document.querySelector("main").innerText.includes("the loft · keeper: Mara") && !/holds for user-memory/.test(document.querySelector("main").innerText));
});

test("compare two builds", async (t) => {
  const page = await visit(t, { path: "#/compare" });
  await page.waitForSelector("main option");
  await press(page, "main form", "Compare");
  await page.waitForFunction(() => document.querySelectorAll(".versus .text").length === 2 && document.querySelector("main table"));
  const texts = await page.$$eval(".versus .text", (l) => l.map((x) => x.textContent));
  assert.ok(texts[0] && texts[1] && texts[0] !== texts[1], `the builds say ${texts}`);
  const { scores } = await rpc("ngram.v1.InferenceService/Score", { model: "default", buildId: 2, texts: [texts[1]] });
  assert.ok((await page.$eval("main table", (x) => x.innerText)).includes(scores[0].log10Probability.toFixed(4).replace("-", "−")));
  await shot(page, "compare");
  await accessible(page, "compare");
});

test("see a job run, and stop it", async (t) => {
  const page = await visit(t, { path: "#/system" });
  await says(page, /build 2 answers/);
  await accessible(page, "system");
  const text = (label, words) => [{ start: { label } }, { chunk: Buffer.from(words).toString("base64") }, { end: {} }];
  const job = begin("ngram.v1.CorpusService/Ingest");
  job.send({ header: { model: "second" } }, ...text("first", "The rope is wet. The rope is long."));
  await page.waitForSelector("progress"); // by itself
  await says(page, /second[^]*running[^]*first/);
  const stop = await page.$("section[aria-label=Jobs] button");
  assert.equal(await stop.evaluate((b) => b.ariaLabel), "Stop the ingest of second");
  await stop.focus();
  job.send(...text("another", "A knot holds."));
  await says(page, /running[^]*another/);
  assert.ok(await stop.evaluate((b) => b === document.activeElement), "the page took the focus away when it looked again");
  await shot(page, "progress");
  await accessible(page, "a running job");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  assert.match(await page.$eval("dialog", (d) => d.innerText), /Stop the ingest of second\?[^]*What it counted stays counted/);
  await shot(page, "stopping");
  await accessible(page, "a question before a job is stopped");
  await page.keyboard.press("Enter"); // on Cancel, where the focus is
  await page.waitForFunction(() => !document.querySelector("dialog"));
  assert.ok(await stop.evaluate((b) => b === document.activeElement));
  await page.keyboard.press("Enter");
  await press(page, "dialog[open]", "Stop it");
  await says(page, /second\s+cancelled/);
  const answers = await job.ended;
  assert.match(JSON.stringify(answers.at(-1)), /JOB_CANCELLED/);
  await page.waitForFunction(() => document.activeElement.textContent === "Jobs"); // the button is gone
  await says(page, /second no build is published[^]*2 documents/);
});

test("publish a build, and roll back", async (t) => {
  const page = await visit(t, { path: "#/system", expected: /400/ });
  const serving = async () => (await rpc("ngram.v1.BuildService/GetBuild", { model: "default" })).build.buildId;
  await says(page, /build 2 answers/);
  assert.deepEqual(await page.$$eval("tr[data-key] button", (l) => l.map((b) => b.ariaLabel)), ["Roll back build 2 of default", "Publish build 1 of default"]);
  await press(page, ".card tr[data-key='1']", "Publish");
  await page.waitForSelector("dialog[open]");
  await accessible(page, "a question before a build is published");
  await press(page, "dialog", "Cancel");
  await press(page, ".card tr[data-key='1']", "Publish");
  await shot(page, "publishing");
  assert.equal(await serving(), 2);
  await press(page, "dialog[open]", "Publish");
  await says(page, /build 1 answers/);
  assert.equal(await serving(), 1);
  await page.waitForFunction(() => document.activeElement.textContent === "Models and builds" && document.getElementById("status").textContent === "Build 1 of default answers now");
  await press(page, ".card tr[data-key='1']", "Roll back");
  await press(page, "dialog[open]", "Roll back");
  await says(page, /build 2 answers/);
  assert.equal(await serving(), 2);
  // There is nothing before it that it could go back to, and the page says so.
  await press(page, ".card tr[data-key='2']", "Roll back");
  await press(page, "dialog[open]", "Roll back");
  await says(page, /No earlier build of model "default" is kept that served before build 2/);
  // What the gate of the policy refuses is published only by a second decision.
  await rpc("ngram.v1.BuildService/SetHeldOut", { model: "default", text: Buffer.from("The lantern walk begins at the door. Mara hangs the lantern by the quay.").toString("base64") });
  await rpc("ngram.v1.BuildService/SetBuildPolicy", { model: "default", policy: { maxPerplexityIncrease: 0 } });
  t.after(async () => {
    await rpc("ngram.v1.BuildService/SetBuildPolicy", { model: "default", policy: {} });
    await rpc("ngram.v1.BuildService/SetHeldOut", { model: "default" });
  });
  await press(page, ".card tr[data-key='1']", "Publish");
  await press(page, "dialog[open]", "Publish");
  await says(page, /perplexity[^]*Publish all the same/);
  assert.equal(await serving(), 2);
  await shot(page, "refused");
  await accessible(page, "a build that the gate refuses");
  await press(page, ".problem", "Publish all the same");
  await says(page, /build 1 answers/);
  assert.ok(!(await page.$(".problem")));
  // What others do is seen too.
  await rpc("ngram.v1.BuildService/PublishBuild", { model: "default", buildId: 2, force: true });
  await says(page, /build 2 answers/);
  await shot(page, "system");
});

test("texts that try to be HTML and scripts are shown as texts", async (t) => {
  const model = "hostile";
  const words = Buffer.from(`The lantern ${hostile} hangs here. `.repeat(20)).toString("base64");
  await rpc("gateway.v1.GatewayService/Train", [{ header: { ingest: { model } } }, { start: { label: hostile } }, { chunk: words }, { end: {} }]);
  const bot = await rpc("concept.v1.CatalogueService/PutConcept", { bot: "hostile", concept: { name: "Evil", description: hostile, staticPayload: JSON.stringify({ x: hostile }), metadataSchema: "{}" } });
  assert.ok(bot.concept);
  await rpc("concept.v1.CatalogueService/PutTemplate", { bot: "hostile", template: { concept: "Evil", name: "t", languageCode: "en", text: `Say ${hostile.replaceAll(/[{}]/g, "")} {x}` } });
  await rpc("concept.v1.CatalogueService/AddExamples", { bot: "hostile", examples: [{ concept: "Evil", utterance: "say the evil thing" }, { concept: "Evil", utterance: "the evil thing please" }] });
  await rpc("concept.v1.DecisionService/CreateConceptBuild", { bot: "hostile", publish: true });
  const user = `u-${hostile}`.slice(0, 250);
  await rpc("memory.v1.FactService/RememberFact", { requestId: "h", scope: "SCOPE_USER", userId: user, entity: hostile, attribute: hostile, value: hostile });
  const page = await visit(t, { settings: { user, model, bot: "hostile" } });
  await say(page, `${hostile} the lantern`);
  await press(page, ".reply", "Correct");
  await page.keyboard.sendCharacter("hangs");
  await page.keyboard.press("Tab");
  await page.keyboard.sendCharacter(hostile);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".done");
  await say(page, "the lantern hangs");
  await say(page, "say the evil thing");
  for (let i = 0; i < 3; i++) {
    await look(page, i, 0);
    await pause(700);
    await page.$$eval("#glass details", (l) => l.forEach((d) => { d.open = true; }));
  }
  await shot(page, "hostile");
  const shown = await page.$eval("body", (b) => b.innerText);
  assert.ok(shown.includes(hostile), "the text was not shown as it is");
  const strange = () => page.evaluate(() => [...document.querySelectorAll("img, script, svg, iframe, object, embed, [onerror], [onload], [style]")].filter((e) => e.tagName !== "SCRIPT" || e.getAttribute("src") !== "/page/app.js").filter((e) => !(e.tagName === "TEXTAREA")).map((e) => e.outerHTML).filter((x) => !/^<(span|button)[^>]* style="--share: [\d.]+;?"/.test(x)));
  assert.deepEqual(await strange(), []);
  for (const view of ["memory", "compare", "system", `c/${encodeURIComponent(hostile)}`, encodeURIComponent(hostile)]) {
    if (view.startsWith("c/")) page.expected = /404|400/;
    await page.goto(`${url}#/${view}`);
    await pause(900);
    assert.deepEqual(await strange(), [], view);
  }
  await press(page, "header", "Settings");
  await page.waitForSelector("dialog[open] select");
  await accessible(page, "settings");
  assert.deepEqual(await strange(), [], "settings");
});
