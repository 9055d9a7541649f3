"""The playground: the lesson about gRPC's wire, in the browser. `build` makes it, `bench` is what its page calls."""
