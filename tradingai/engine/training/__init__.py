"""Fitting models so that a killed run ends as an undisturbed one; imports nothing at package level."""
