// What a program does with the client of OpenAI's API, against the door whose address is the first argument. It knows nothing of
// this system. Prints one JSON object with what it got.
const { OpenAI } = require("openai");

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "not looked at", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];

// refused tells of a call that must fail.
async function refused(call) {
  try {
    await call;
    return "was answered";
  } catch (e) {
    return { name: e.constructor.name, status: e.status, code: e.code, param: e.param, type: e.type, id: typeof e.requestID };
  }
}

async function main() {
  const got = {};

  got.models = [];
  for await (const model of client.models.list()) got.models.push(model.id);
  got.model = (await client.models.retrieve("default")).id;

  const chat = (more) => client.chat.completions.create({ model: "default", seed: 9, messages: user("tell me about the fog"), ...more });
  const once = await chat({ user: "ana", logprobs: true, top_logprobs: 3 });
  got.chat = once.choices[0].message;
  got.finish = once.choices[0].finish_reason;
  got.usage = once.usage.total_tokens === once.usage.prompt_tokens + once.usage.completion_tokens && once.usage.total_tokens > 0;
  got.logprobs = once.choices[0].logprobs.content.map((t) => t.token).join("") === once.choices[0].message.content &&
    once.choices[0].logprobs.content.every((t) => t.logprob <= 0 && t.top_logprobs.length > 0);
  got.again = (await chat({})).choices[0].message.content === got.chat.content;
  got.n = (await chat({ n: 3 })).choices.map((c) => c.index);
  got.stopped = (await chat({ stop: [" "] })).choices[0];
  got.length = (await chat({ max_completion_tokens: 2 })).choices[0].finish_reason;

  const said = [];
  let usage = null;
  for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
    said.push(chunk.choices[0]?.delta?.content ?? "");
    usage = chunk.usage ?? usage;
  }
  got.streamed = said.join("") === got.chat.content && usage.total_tokens > 0;
  const runner = client.chat.completions.stream({ model: "default", seed: 9, messages: user("tell me about the fog") });
  got.assembled = (await runner.finalChatCompletion()).choices[0].message.content === got.chat.content;

  // A chat that goes on, by what it brings and by the conversation.
  const first = await chat({}).withResponse();
  const conversation = first.response.headers.get("x-conversation-id");
  got.brought = (await chat({ messages: [{ role: "system", content: "Speak of boats." }, ...user("tell me about the fog"), first.data.choices[0].message, ...user("and then?")] })).choices[0].message.role;
  const next = await client.chat.completions.create({ model: "default", messages: user("and then?") }, { headers: { "X-Conversation-Id": conversation } }).withResponse();
  got.same = next.response.headers.get("x-conversation-id") === conversation && next.request_id === next.response.headers.get("x-request-id");

  const text = await client.completions.create({ model: "default", prompt: "The harbour", seed: 4, max_tokens: 6, logprobs: 2, n: 2, echo: true });
  got.completions = text.choices.map((c) => c.text.startsWith("The harbour") && c.logprobs.tokens.length === 6 && c.finish_reason === "length");
  let streamed = "";
  for await (const chunk of await client.completions.create({ model: "default", prompt: "The harbour", seed: 4, max_tokens: 6, stream: true, echo: true })) streamed += chunk.choices[0].text;
  got.streamedText = streamed === text.choices[0].text;
  const cut = await client.post("/tokenize", { body: { model: "default", input: streamed } });
  got.tokens = cut.tokens.length === cut.count && cut.count > 2;
  const banned = await chat({ logit_bias: Object.fromEntries(cut.tokens.filter((t) => t > 2).map((t) => [t, -100])), max_tokens: 30 });
  const without = (await client.post("/tokenize", { body: { model: "default", input: banned.choices[0].message.content } })).tokens;
  got.bias = without.every((t) => !cut.tokens.includes(t) || t <= 2);

  got.refused = {
    model: await refused(chat({ model: "gpt-5" })),
    temperature: await refused(chat({ temperature: 3 })),
    tools: await refused(chat({ tools: [{ type: "function", function: { name: "f" } }] })),
    unknown: await refused(chat({ temprature: 1 })),
    retrieve: await refused(client.models.retrieve("gpt-5")),
    stream: await refused(chat({ model: "gpt-5", stream: true })),
    elsewhere: await refused(client.embeddings.create({ model: "default", input: "x" })),
  };
  // A client that leaves in the middle.
  const left = await chat({ stream: true });
  left.controller.abort();
  got.after = (await client.models.list()).data.length;
  console.log(JSON.stringify(got));
}

main().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
