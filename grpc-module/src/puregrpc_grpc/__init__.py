"""What helps to use puregrpc-grpc in the place of grpcio: ``python -m puregrpc_grpc stub``, and ``doctor``."""
