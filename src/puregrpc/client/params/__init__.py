"""What a script gives to a client: the params of connect, invoke and streams, durations, and where files are."""
