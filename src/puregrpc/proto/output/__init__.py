"""What is written from a compiled file: FileDescriptorProto, options, SourceCodeInfo, type stubs."""
