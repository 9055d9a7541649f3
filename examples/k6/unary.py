"""k6's grpc_invoke.js in Python: a unary call with checks and a threshold. ``python unary.py 127.0.0.1:50051``."""

import json
import sys

from puregrpc import Client, StatusOK, check

client = Client()
client.load(["../definitions"], "route_guide.proto")
client.metrics.add_thresholds({"grpc_req_duration": ["p(95)<1000"]})
client.connect(sys.argv[1], {"plaintext": True})

response = client.invoke("main.FeatureExplorer/GetFeature", {"latitude": 410248224, "longitude": -747127767})
check(response, {"status is OK": lambda r: r and r.status == StatusOK})
print(json.dumps(response.message))

client.close()
print(client.metrics.summary())
