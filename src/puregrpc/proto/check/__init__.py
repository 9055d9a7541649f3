"""What protoc refuses beyond names and numbers, in files that are linked and whose options are interpreted."""
