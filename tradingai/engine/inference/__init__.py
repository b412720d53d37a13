"""Promoted models on candles as they close: carried state, calibrated probabilities, one ensemble a coin."""
