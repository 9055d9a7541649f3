"""The hostile catalogue of puregrpc.fuzz, run against connections in memory."""
