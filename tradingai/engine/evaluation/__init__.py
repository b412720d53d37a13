"""Metrics, intervals, baselines, the leakage battery and the evaluation that joins them."""
