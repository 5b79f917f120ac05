"""What a program does with nothing but Python's own http.client, against the door whose port is the first argument.

Prints one JSON object with what it got.
"""

import http.client
import json
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)


def ask(method, path, body=None, **headers):
    """One request on the one connection, with what openai's own client for Python sends beside the body."""
    headers = {"Accept": "application/json", "Authorization": "Bearer x", "User-Agent": "OpenAI/Python 2.1.0", "X-Stainless-Lang": "python", **headers}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    connection.request(method, path, body, headers)
    return connection.getresponse()


def chat(**more):
    return {"model": "default", "seed": 9, "messages": [{"role": "user", "content": "tell me about the fog"}], **more}


got = {}
got["models"] = [m["id"] for m in json.load(ask("GET", "/v1/models"))["data"]]
whole = json.load(ask("POST", "/v1/chat/completions", chat()))
got["chat"] = whole["choices"][0]["message"]["role"]

response = ask("POST", "/v1/chat/completions", chat(stream=True))
said = ""
got["type"] = response.getheader("Content-Type")
for line in response:
    if line.startswith(b"data: {"):
        said += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
    elif line.startswith(b"data: "):
        got["end"] = line.decode().strip()
got["streamed"] = said == whole["choices"][0]["message"]["content"]

# The body in pieces whose length is not told before.
connection.putrequest("POST", "/v1/completions")
connection.putheader("Content-Type", "application/json")
connection.putheader("Transfer-Encoding", "chunked")
connection.endheaders()
for piece in json.dumps({"model": "default", "prompt": "The harbour", "max_tokens": 4, "seed": 1}).encode().split(b" "):
    connection.send(b"%x\r\n%s \r\n" % (len(piece) + 1, piece))
connection.send(b"0\r\n\r\n")
got["pieces"] = json.load(connection.getresponse())["choices"][0]["finish_reason"]

got["refused"] = []
for method, path, body in [
    ("POST", "/v1/chat/completions", chat(temperature=-1)),
    ("POST", "/v1/chat/completions", chat(top_p=float("nan"))),
    ("POST", "/v1/chat/completions", {"model": "gpt-5", "messages": chat()["messages"]}),
    ("GET", "/v1/chat/completions", None),
    ("GET", "/v1/nothing", None),
]:
    response = ask(method, path, body)
    got["refused"].append([response.status, json.load(response)["error"]["code"]])
print(json.dumps(got))
