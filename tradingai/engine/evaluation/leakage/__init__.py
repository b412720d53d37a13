"""The leakage battery: seven checks that a model knew nothing it could not have known."""
