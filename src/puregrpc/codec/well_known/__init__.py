"""The well-known types, which ProtoJSON writes in forms of their own: hand-written encoders and decoders."""
