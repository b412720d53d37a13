"""The model registry: ledger, immutable versions, links to what is live."""
