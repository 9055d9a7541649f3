"""A chat along the route, as k6 users write it: notes left at places come back to whoever leaves one there.

``python bidirectional_streaming.py ADDRESS``
"""

import sys

from puregrpc import Client, Stream

NOTES = [
    {"message": "First message", "location": {"latitude": 1, "longitude": 1}},
    {"message": "Second message", "location": {"latitude": 2, "longitude": 1}},
    {"message": "Third message", "location": {"latitude": 1, "longitude": 1}},
]

client = Client()
client.load(["../definitions"], "route_guide.proto")
client.connect(sys.argv[1], {"plaintext": True})

stream = Stream(client, "main.RouteGuide/RouteChat")
stream.on("data", lambda note: print(f"Got message {note['message']!r} at {note['location']}"))
stream.on("error", lambda error: print(error))
stream.on("end", lambda: client.close())

for note in NOTES:
    stream.write(note)
stream.end()
