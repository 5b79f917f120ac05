#!/usr/bin/env python3
"""The same payload provider in Python (pip install grpcio, or Debian's python3-grpcio).

The modules for the messages are made as ../clients/grpc/talk.py says:

    PYTHONPATH=bin/proto-bundle/python python3 examples/provider/provider.py 127.0.0.1:7490
"""

import datetime
import json
import sys
from concurrent import futures

import grpc
from dbslm.concept.v1 import decision_pb2, decision_pb2_grpc

# What hangs on which shelf, and the day of the week on which it is out; a real provider would ask its own database.
TOOLS = {
    "long ladder": (7, 5),
    "drill": (3, 3),
    "sander": (4, 1),
    "cargo bike": (9, 5),
    "cement mixer": (8, 4),
}


class Provider(decision_pb2_grpc.PayloadProviderServiceServicer):
    def ProvidePayload(self, request, context):
        filled = json.loads(request.payload_json or "{}")
        payload = {}
        for name, (shelf, out) in TOOLS.items():
            if filled.get("tool", name) != name or ("tool" not in filled and name not in request.text.lower()):
                continue
            payload = {"tool": name, "shelf": shelf}
            if "day" in filled:
                day = datetime.date.fromisoformat(filled["day"])
                payload["free"] = day.weekday() != out
                payload["next"] = (day + datetime.timedelta(days=1)).isoformat()
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
