"""Where the metrics of a run go while it goes on, other than to files: OpenTelemetry, Prometheus."""
