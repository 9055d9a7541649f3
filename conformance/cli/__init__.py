"""The command line beside grpcurl, against servers of grpc-go and grpcio."""
