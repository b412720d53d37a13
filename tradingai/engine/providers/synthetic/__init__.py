"""Deterministic markets with a known planted structure."""
