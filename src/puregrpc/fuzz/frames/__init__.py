"""The hostile catalogue at the level of frames: probes as octets. Knows nothing of messages, calls or connections."""
