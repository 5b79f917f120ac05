// The gateway's RPCs as JSON: POST /package.Service/Method. Streams are one object a line.

const services = {
  gateway: "dbslm.gateway.v1.GatewayService",
  models: "dbslm.ngram.v1.ModelService",
  builds: "dbslm.ngram.v1.BuildService",
  jobs: "dbslm.ngram.v1.JobService",
  inference: "dbslm.ngram.v1.InferenceService",
  profiles: "dbslm.ngram.v1.ProfileService",
  conversations: "dbslm.memory.v1.ConversationService",
  corrections: "dbslm.memory.v1.CorrectionService",
  facts: "dbslm.memory.v1.FactService",
};

// Refused is what the server says when it does not do what it was asked. again tells that asking again may help.
export class Refused extends Error {
  constructor(message, { reason = "", again = false, seconds = 0 } = {}) {
    super(message);
    Object.assign(this, { reason, again, seconds });
  }
}

const busy = new Set([4, 8, 10, 14]); // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE

function refusal(body, response) {
  const error = body?.error ?? body ?? {}; // the guard's errors have OpenAI's form, those of RPCs google.rpc.Status
  const detail = (error.details ?? []).find((d) => d.reason);
  const seconds = Number(response?.headers.get("Retry-After")) || 0;
  const again = busy.has(error.code) || [429, 502, 503, 504].includes(response?.status);
  let message = error.message || `The server answered ${response?.status ?? "nothing"}.`;
  message = message.charAt(0).toUpperCase() + message.slice(1);
  if (!/[.!?]$/.test(message)) message += ".";
  if (again) message += seconds > 1 ? ` Try again in ${seconds} seconds.` : " Try again in a moment.";
  return new Refused(message, { reason: detail?.reason ?? error.code, again, seconds });
}

async function post(method, body, signal) {
  const [service, name] = method.split("/");
  try {
    return await fetch(`/${services[service]}/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached. See whether dbslm serve is still running, then try again.", { again: true });
  }
}

// ask calls an RPC and returns its answer.
export async function ask(method, body, signal) {
  const response = await post(method, body, signal);
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) throw refusal(answer, response);
  return answer;
}

// stream calls an RPC that answers piece by piece, and yields the pieces.
export async function* stream(method, body, signal) {
  const response = await post(method, body, signal);
  if (!response.ok) throw refusal(await response.json().catch(() => null), response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop();
      for (const line of lines) {
        if (!line.trim()) continue;
        const { result, error } = JSON.parse(line);
        if (error) throw refusal(error);
        yield result;
      }
      if (done) return;
    }
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("The connection broke off. Try again: what was stored is not said twice.", { again: true });
  } finally {
    reader.cancel().catch(() => {});
  }
}

// all follows the pages of a list to its end, or to so many entries.
export async function all(method, body, key, most = 1000, signal) {
  const found = [];
  let pageToken = "";
  do {
    const page = await ask(method, { ...body, pageToken }, signal);
    found.push(...(page[key] ?? []));
    pageToken = page.nextPageToken ?? "";
  } while (pageToken && found.length < most);
  return found;
}

// newId makes an id of a request: what is sent again with the same id happens once. (randomUUID needs a secure context.)
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
