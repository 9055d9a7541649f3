"""A client stream with handlers: many requests, one reply. ``python examples/client_stream.py 127.0.0.1:50051``."""

import sys

from puregrpc import Client, Stream

client = Client()
client.load(["definitions"], "hello.proto")
client.connect(sys.argv[1], plaintext=True)

stream = Stream(client, "hello.HelloService/LotsOfGreetings")
stream.on("data", lambda message: print(message["reply"]))
stream.on("end", lambda: client.close())
for name in ("Bert", "Ernie", "Kermit"):
    stream.write({"greeting": name})
stream.end()
