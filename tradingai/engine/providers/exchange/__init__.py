"""Candles, quotes and time of real exchanges, through ccxt's public endpoints."""
