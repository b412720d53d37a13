"""Odds of a challenge: whole Prague days of past trades, drawn anew, through the account's rules."""
