"""protobuf's conformance suite, run against the codec."""
