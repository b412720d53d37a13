"""Rehearsals of what must work before real money, each on an isolated copy of the home."""
