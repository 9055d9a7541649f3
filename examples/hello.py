"""The first example of k6's gRPC module, in Python: ``python examples/hello.py 127.0.0.1:50051``."""

import json
import sys

from puregrpc import Client, StatusOK, check

client = Client()
client.load(["definitions"], "hello.proto")
client.connect(sys.argv[1], {"plaintext": True})  # or plaintext=True
response = client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
check(response, {"status is OK": lambda r: r and r.status == StatusOK})
print(json.dumps(response.message))  # {"reply": "hello Bert"}
client.close()
print(client.metrics.summary())  # the checks are in it
