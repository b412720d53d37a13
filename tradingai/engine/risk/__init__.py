"""FTMO rules, guard, rate limits and execution costs; pure, imports nothing here."""
