"""One screen a file; each is a pure function of the snapshot and the selection."""
