"""gRPC's interoperability cases (interop-test-descriptions.md), between puregrpc, grpcio and grpc-go."""
