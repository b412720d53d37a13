"""TradingAI: minute candles to promotion gates to a dry-run observation, every number measured."""

__version__ = "0.1.0"
