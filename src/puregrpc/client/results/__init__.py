"""What a client gives to a script: responses, errors and constants, in the words of k6 and grpc-go."""
