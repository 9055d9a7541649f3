"""k6's grpc_server_streaming.js in Python: the features in a rectangle. ``python server_streaming.py ADDRESS``."""

import sys
from typing import Any

from puregrpc import Client, Stream

client = Client()
client.load(["../definitions"], "route_guide.proto")
client.connect(sys.argv[1], {"plaintext": True})

stream = Stream(client, "main.FeatureExplorer/ListFeatures")


def data(feature: dict[str, Any]) -> None:
    place = feature["location"]
    print(f'Found feature called "{feature["name"]}" at {place["latitude"] / 1e7}, {place["longitude"] / 1e7}')


def end() -> None:
    client.close()
    print("All done")


stream.on("data", data)
stream.on("error", lambda error: print(error))
stream.on("end", end)

stream.write(
    {"lo": {"latitude": 400000000, "longitude": -750000000}, "hi": {"latitude": 420000000, "longitude": -730000000}}
)
