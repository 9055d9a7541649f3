"""The playground in headless Chromium."""
