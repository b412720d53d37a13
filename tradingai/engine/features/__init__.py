"""Causal features of one-minute candles, each declared once."""
