"""Forms of an explanation: the ladder for terminals, the page, JSON lines; and of a recording: pcapng."""
