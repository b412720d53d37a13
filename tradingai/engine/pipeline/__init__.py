"""Everything from candles to promoted models: what to run, running it, and knowing that it was run."""
