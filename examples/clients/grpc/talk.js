// Trains, talks, corrects and explains over gRPC (npm install @grpc/grpc-js @grpc/proto-loader). The protos are those of `make proto-bundle`;
// nothing is generated from them.
//
//     dbslm serve --db var/talk &      # dbslm migrate --db var/talk makes the store
//     node examples/clients/grpc/talk.js bin/proto-bundle 127.0.0.1:7400 examples/sail-loft/corpus/11-alphabet.txt
const { readFileSync } = require("node:fs");
const { finished } = require("node:stream/promises");
const { promisify } = require("node:util");
const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");

const [protos, address, file] = process.argv.slice(2);
const deadline = () => ({ deadline: Date.now() + 60_000 });

async function main() {
  const definition = protoLoader.loadSync("dbslm/gateway/v1/gateway.proto", { includeDirs: [protos], longs: String, enums: String, defaults: true });
  const { GatewayService } = grpc.loadPackageDefinition(definition).dbslm.gateway.v1;
  const gateway = new GatewayService(address, grpc.credentials.createInsecure());
  const ask = (method, request) => promisify(gateway[method]).call(gateway, request, deadline());

  const training = gateway.train(deadline());
  let build;
  training.on("data", (message) => (build = message.build ?? build));
  const text = readFileSync(file);
  training.write({ header: { ingest: { model: "talk", settings: { order: 4 } } } });
  training.write({ start: { label: file } });
  for (let at = 0; at < text.length; at += 1 << 18) training.write({ chunk: text.subarray(at, at + (1 << 18)) });
  training.write({ end: {} });
  training.end();
  await finished(training);
  console.log(`build ${build.buildId} of ${build.tokens} tokens`);

  const { conversation } = await ask("startConversation", { userId: "ana" });
  const conversationId = conversation.conversationId;
  const say = async (said) => {
    console.log(`> ${said}`);
    const stream = gateway.streamRespond({ request: { conversationId, text: said, model: "talk", parameters: { seed: 7 } } }, deadline());
    let reply;
    for await (const message of stream) {
      if (message.delta) process.stdout.write(message.delta.text);
      if (message.finished) reply = message.finished;
    }
    console.log();
    return reply.message.messageId;
  };

  const first = await say("Who bakes the apple cake?");
  await ask("correct", {
    correction: { requestId: `cake-${conversationId}`, conversationId, errorMessageId: first, errorContext: "Marta", fact: { value: "Nuala" } },
  });
  await say("Who bakes the apple cake?");

  const explained = await ask("explain", { messageId: first, candidates: 3 });
  for (const { tokens } of explained.segments) {
    for (const { token, matchedOrder, stages } of tokens.slice(0, 5)) {
      console.log(`"${token.text}": found at order ${matchedOrder}; likeliest: ${stages.map((c) => c.token.text).join(", ")}`);
    }
  }
  gateway.close();
}

if (!file) {
  console.error("usage: node talk.js PROTOS HOST:PORT TEXT");
  process.exitCode = 2;
} else {
  main().catch((e) => {
    console.error(e.details || e.message); // details: what the server said
    process.exit(1);
  });
}
