"""Promoted models at work: carried state, calibrated probabilities, the ensemble."""
