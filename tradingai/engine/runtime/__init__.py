"""The scan loop and its runs: live, replay and backtest through one step."""
