"""Networks, calibration and the artifacts that carry them; imports nothing at package level."""
