"""From probabilities to decisions, fills and the paper account; pure, imports nothing here."""
