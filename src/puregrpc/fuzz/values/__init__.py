"""Messages from descriptors: recorded draws, values of fields, and what of a message matters."""
