"""Reading what MetaTrader 5 exports: ticks, bars, and the history report."""
