"""A server stream with handlers: one request, many replies. ``python examples/server_stream.py 127.0.0.1:50051``."""

import sys

from puregrpc import Client, Stream

client = Client()
client.load(["definitions"], "hello.proto")
client.connect(sys.argv[1], plaintext=True)

stream = Stream(client, "hello.HelloService/LotsOfReplies")
stream.on("data", lambda message: print(message["reply"]))
stream.on("error", lambda error: print("failed:", error.code, error.message))
stream.on("end", lambda: client.close())
stream.write({"greeting": "Bert"})
# The program does not end before the stream does.
