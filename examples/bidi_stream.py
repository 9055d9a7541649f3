"""A bidirectional stream, read by iteration. ``python examples/bidi_stream.py 127.0.0.1:50051``."""

import sys

from puregrpc import Client

with Client() as client:
    client.load(["definitions"], "hello.proto")
    client.connect(sys.argv[1], plaintext=True)
    stream = client.stream("hello.HelloService/BidiHello")
    for name in ("Bert", "Ernie", "Kermit"):
        stream.write({"greeting": name})
    stream.end()
    for message in stream:
        print(message["reply"])
    print(client.metrics.summary())
