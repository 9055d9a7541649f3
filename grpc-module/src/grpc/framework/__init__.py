"""Parts of what grpcio was before 1.0, as far as they are still in use."""
