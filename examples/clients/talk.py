#!/usr/bin/env python3
"""Trains, talks, corrects and explains over HTTP, with what Python brings along.

    dbslm serve --db var/talk --http-listen 127.0.0.1:7480 &      # dbslm migrate --db var/talk makes the store
    python3 examples/clients/talk.py 127.0.0.1:7480 examples/sail-loft/corpus/11-alphabet.txt

Every RPC is a POST to /PACKAGE.SERVICE/METHOD with JSON as protobuf has it. A stream is one object after the other each way.
"""

import base64
import http.client
import json
import sys

GATEWAY = "/dbslm.gateway.v1.GatewayService/"


def ask(address, path, *messages):
    """Calls an RPC with these messages and returns those of the answer."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        body = "\n".join(json.dumps(message) for message in messages)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answers = [json.loads(line) for line in response.read().decode().splitlines()]
        failed = answers[0] if response.status != 200 else answers[-1].get("error")  # a stream may fail after it began
        if failed:
            raise SystemExit(f"{path}: {failed['message']}")
        return [answer.get("result", answer) for answer in answers]
    finally:
        connection.close()


def main(address, file):
    with open(file, "rb") as text:
        trained = ask(
            address,
            GATEWAY + "Train",
            {"header": {"ingest": {"model": "talk", "settings": {"order": 4}}}},
            {"start": {"label": file}},
            *({"chunk": base64.b64encode(chunk).decode()} for chunk in iter(lambda: text.read(1 << 18), b"")),
            {"end": {}},
        )[-1]["build"]
    print(f"build {trained['buildId']} of {trained['tokens']} tokens")

    [started] = ask(address, GATEWAY + "StartConversation", {"userId": "ana"})
    conversation = started["conversation"]["conversationId"]

    def say(text):
        [reply] = ask(address, GATEWAY + "Respond", {"conversationId": conversation, "text": text, "model": "talk", "parameters": {"seed": "7"}})
        print(f"> {text}\n{reply['message']['content']}")
        return reply["message"]["messageId"]

    first = say("Who bakes the apple cake?")
    ask(
        address,
        GATEWAY + "Correct",
        {"correction": {"requestId": "cake-" + conversation, "conversationId": conversation, "errorMessageId": first, "errorContext": "Marta", "fact": {"value": "Nuala"}}},
    )
    say("Who bakes the apple cake?")

    [explained] = ask(address, GATEWAY + "Explain", {"messageId": first, "candidates": 3})
    for segment in explained["segments"]:
        for token in segment.get("tokens", [])[:5]:
            likely = ", ".join(c["token"]["text"] for c in token.get("stages", []))
            print(f"{token['token']['text']!r}: found at order {token['matchedOrder']}; likeliest: {likely}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
