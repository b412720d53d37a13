"""Types, errors, events, clock, settings and paths; imports nothing above it."""
