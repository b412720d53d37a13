"""The formulas, one module a group."""
