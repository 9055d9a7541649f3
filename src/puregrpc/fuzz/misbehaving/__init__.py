"""The other way round: a server that misbehaves, and clients judged against it."""
