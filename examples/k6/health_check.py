"""k6's health check in Python: the standard service, no .proto file needed. ``python health_check.py ADDRESS``."""

import sys

from puregrpc import Client, HealthCheckServing, check

client = Client()
client.connect(sys.argv[1], {"plaintext": True})

response = client.healthCheck()
healthy = check(response, {"status is serving": lambda r: r and r.status == HealthCheckServing})
print(response.status, healthy)

client.close()
