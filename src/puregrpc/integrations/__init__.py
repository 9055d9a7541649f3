"""What connects puregrpc with other programs: each module needs the library it is for."""
