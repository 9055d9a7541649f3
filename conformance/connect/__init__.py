"""The gRPC part of connectconformance: a client and a server under test, and the script that runs it."""
