"""From the octets of a recording to an explanation: frames, header blocks, calls, messages, fields, and their rules."""
