"""The run-time .proto compiler: source text in, descriptors out, in named phases, without protoc."""
