"""The servers behind a channel: their connections, made when wanted and made again, and which gets the next call."""
