"""k6's grpc_client_streaming.js in Python: a route, point by point. ``python client_streaming.py ADDRESS``."""

import random
import sys

from puregrpc import Client, Stream, sleep

PLACES = [(410248224, -747127767), (407838351, -746143763), (408122808, -743999179), (419999544, -740371136)]

client = Client()
client.load(["../definitions"], "route_guide.proto")
client.connect(sys.argv[1], {"plaintext": True})

stream = Stream(client, "main.RouteGuide/RecordRoute")
stream.on(
    "data", lambda stats: print(f"Finished trip with {stats['pointCount']} points, {stats['featureCount']} features")
)
stream.on("end", lambda: print("All done"))

for _ in range(5):
    latitude, longitude = random.choice(PLACES)
    print(f"Visiting {latitude / 1e7}, {longitude / 1e7}")
    stream.write({"latitude": latitude, "longitude": longitude})
    sleep(0.05)

stream.end()
