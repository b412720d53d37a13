"""Alerts: what is told of the events, the outbox that tells it, and where it goes."""
