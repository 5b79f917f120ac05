#!/usr/bin/env python3
"""The same payload provider in Python (pip install grpcio, or Debian's python3-grpcio).

The modules for the messages are made as ../clients/grpc/talk.py says:

    PYTHONPATH=bin/proto-bundle/python python3 examples/provider/provider.py 127.0.0.1:7490
"""

import json
import sys
from concurrent import futures

import grpc
from dbslm.concept.v1 import decision_pb2, decision_pb2_grpc

# What hangs where; a real provider would ask its own database.
WALL = {
    "ladder": {"tool": "the long ladder", "shelf": 7, "back": "2026-12-01"},
    "drill": {"tool": "the drill", "shelf": 3},
    "palm": {"tool": "the sailmaker's palm", "shelf": 1},
}


class Provider(decision_pb2_grpc.PayloadProviderServiceServicer):
    def ProvidePayload(self, request, context):
        payload = {}
        for tool, known in WALL.items():
            if tool in request.text.lower():
                payload = known
        return decision_pb2.ProvidePayloadResponse(payload_json=json.dumps(payload))


def main(address):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    decision_pb2_grpc.add_PayloadProviderServiceServicer_to_server(Provider(), server)
    port = server.add_insecure_port(address)
    server.start()
    print(f"listening on {address.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: provider.py HOST:PORT")
    main(sys.argv[1])
