"""Where candles come from, and how they are cleaned."""
