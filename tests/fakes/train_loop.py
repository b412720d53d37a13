"""A child that trains until it is killed or done: arguments are home and symbols.

The LSTM of one symbol, the Transformer of several.
"""

import sys
from pathlib import Path

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.training.config import LstmTraining, TransformerTraining
from tradingai.engine.training.lstm import train_lstm
from tradingai.engine.training.transformer import train_transformer

from tests.fakes.market_world import SHAPE


class Counting(SilentReporter):
    """Says how far it is."""

    def safe_point(self):
        """Never stops."""
        sys.stdout.write(".\n")
        sys.stdout.flush()


def main():
    """A line on stdout for every safe point that was passed, a checkpoint after each."""
    paths = HomePaths(Path(sys.argv[1]))
    symbols = sys.argv[2:]
    if len(symbols) == 1:
        train_lstm(paths, symbols[0], LstmTraining(epochs=3, checkpoint_every_s=0.0), Counting())
    else:
        training = TransformerTraining(epochs=3, checkpoint_every_s=0.0, **SHAPE)
        train_transformer(paths, symbols, training, Counting())


if __name__ == "__main__":
    main()
