#!/usr/bin/env python3
"""Trains, talks, corrects and explains over gRPC (pip install grpcio, or Debian's python3-grpcio).

The modules for the messages come from the protos of `make proto-bundle`, with Debian's protobuf-compiler-grpc, or with pip's grpcio-tools
(there `python3 -m grpc_tools.protoc` with the same options, without --plugin):

    cd bin/proto-bundle && mkdir -p python && protoc -I . --python_out=python --grpc_python_out=python \\
        --plugin=protoc-gen-grpc_python=$(command -v grpc_python_plugin) $(find dbslm buf -name '*.proto') && cd ../..
    dbslm serve --db var/talk &      # dbslm migrate --db var/talk makes the store
    PYTHONPATH=bin/proto-bundle/python python3 examples/clients/grpc/talk.py 127.0.0.1:7400 examples/sail-loft/corpus/11-alphabet.txt
"""

import sys

import grpc
from dbslm.gateway.v1 import gateway_pb2 as messages
from dbslm.gateway.v1 import gateway_pb2_grpc

TIMEOUT = 60  # seconds of a call


def training(file):
    """The messages of a training: a header, then each document as start, pieces and end."""
    yield messages.TrainRequest(header={"ingest": {"model": "talk", "settings": {"order": 4}}})
    yield messages.TrainRequest(start={"label": file})
    with open(file, "rb") as text:
        for chunk in iter(lambda: text.read(1 << 18), b""):
            yield messages.TrainRequest(chunk=chunk)
    yield messages.TrainRequest(end={})


def main(address, file):
    with grpc.insecure_channel(address) as channel:
        gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

        build = None
        for event in gateway.Train(training(file), timeout=TIMEOUT):
            build = event.build if event.HasField("build") else build
        print(f"build {build.build_id} of {build.tokens} tokens")

        conversation = gateway.StartConversation(messages.StartConversationRequest(user_id="ana"), timeout=TIMEOUT).conversation.conversation_id

        def say(text):
            print(f"> {text}")
            request = {"conversation_id": conversation, "text": text, "model": "talk", "parameters": {"seed": 7}}
            for event in gateway.StreamRespond(messages.StreamRespondRequest(request=request), timeout=TIMEOUT):
                print(event.delta.text, end="", flush=True)
            print()
            return event.finished.message.message_id  # of the last message, which is the stored reply

        first = say("Who bakes the apple cake?")
        correction = {
            "request_id": "cake-" + conversation,
            "conversation_id": conversation,
            "error_message_id": first,
            "error_context": "Marta",
            "fact": {"value": "Nuala"},
        }
        gateway.Correct(messages.CorrectRequest(correction=correction), timeout=TIMEOUT)
        say("Who bakes the apple cake?")

        explained = gateway.Explain(messages.ExplainRequest(message_id=first, candidates=3), timeout=TIMEOUT)
        for segment in explained.segments:
            for token in segment.tokens[:5]:
                likely = ", ".join(candidate.token.text for candidate in token.stages)
                print(f'"{token.token.text}": found at order {token.matched_order}; likeliest: {likely}')


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except grpc.RpcError as e:
        raise SystemExit(e.details())
