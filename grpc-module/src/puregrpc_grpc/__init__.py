"""What helps to use puregrpc-grpc in the place of grpcio."""
