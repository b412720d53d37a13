"""The headless engine: does the work, appends events, knows no surface."""
