"""The compiler beside protoc on whole corpora: identical descriptors and source info, the same verdicts."""
