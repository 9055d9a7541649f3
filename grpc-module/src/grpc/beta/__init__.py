"""The interface of grpcio before 1.0, which generated code of 2016 and libraries of that time use, over `grpc`."""
