"""k6's grpc_reflection.js in Python: no .proto file, the server describes itself. ``python reflection.py ADDRESS``."""

import json
import sys

from puregrpc import Client, StatusOK, check

client = Client()
client.connect(sys.argv[1], {"plaintext": True, "reflect": True})

response = client.invoke("main.FeatureExplorer/GetFeature", {"latitude": 410248224, "longitude": -747127767})
check(response, {"status is OK": lambda r: r and r.status == StatusOK})
print(json.dumps(response.message))

client.close()
