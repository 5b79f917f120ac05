// Trains, talks, corrects and explains: chats with the client of OpenAI's API (npm install openai), everything else as JSON.
//
//     dbslm serve --db var/talk --http-listen 127.0.0.1:7480 &      # dbslm migrate --db var/talk makes the store
//     node examples/clients/talk.js 127.0.0.1:7480 examples/sail-loft/corpus/11-alphabet.txt
const { readFileSync } = require("node:fs");
const { OpenAI } = require("openai");

const [address, file] = process.argv.slice(2);

// ask calls an RPC of the gateway with these messages and returns those of the answer.
async function ask(method, ...messages) {
  const response = await fetch(`http://${address}/dbslm.gateway.v1.GatewayService/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: messages.map((message) => JSON.stringify(message)).join("\n"),
  });
  const answers = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
  const failed = response.ok ? answers.at(-1).error : answers[0]; // a stream may fail after it began
  if (failed) throw new Error(`${method}: ${failed.message}`);
  return answers.map((answer) => answer.result ?? answer);
}

async function main() {
  const text = readFileSync(file);
  const chunks = [];
  for (let at = 0; at < text.length; at += 1 << 18) chunks.push({ chunk: text.subarray(at, at + (1 << 18)).toString("base64") });
  const trained = await ask("Train", { header: { ingest: { model: "talk", settings: { order: 4 } } } }, { start: { label: file } }, ...chunks, { end: {} });
  const { buildId, tokens } = trained.at(-1).build;
  console.log(`build ${buildId} of ${tokens} tokens`);

  const [{ conversation }] = await ask("StartConversation", { userId: "ana" });
  const client = new OpenAI({ baseURL: `http://${address}/v1`, apiKey: "none", defaultHeaders: { "X-Conversation-Id": conversation.conversationId } });
  const say = async (content) => {
    const reply = await client.chat.completions.create({ model: "talk", seed: 7, messages: [{ role: "user", content }] });
    console.log(`> ${content}\n${reply.choices[0].message.content}`);
    return reply.dbslm.message_id;
  };

  const first = await say("Who bakes the apple cake?");
  await ask("Correct", {
    correction: {
      requestId: `cake-${conversation.conversationId}`, conversationId: conversation.conversationId,
      errorMessageId: first, errorContext: "Marta", fact: { value: "Nuala" },
    },
  });
  await say("Who bakes the apple cake?");

  const [explained] = await ask("Explain", { messageId: first, candidates: 3 });
  for (const { tokens = [] } of explained.segments) {
    for (const { token, matchedOrder, stages = [] } of tokens.slice(0, 5)) {
      console.log(`"${token.text}": found at order ${matchedOrder}; likeliest: ${stages.map((c) => c.token.text).join(", ")}`);
    }
  }
}

if (!file) {
  console.error("usage: node talk.js HOST:PORT TEXT");
  process.exitCode = 2;
} else {
  main().catch((e) => {
    console.error(e.message);
    process.exitCode = 1;
  });
}
