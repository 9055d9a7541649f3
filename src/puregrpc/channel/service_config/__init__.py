"""Service config (gRFC A2, A6, A17, A62; grpc/service_config.proto): what a channel goes by, as data, and its JSON."""
