"""A child that trains until it is killed or done: arguments are home and symbol."""

import sys
from pathlib import Path

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.lstm import train_lstm


class Counting(SilentReporter):
    """Says how far it is."""

    def safe_point(self):
        """Never stops."""
        sys.stdout.write(".\n")
        sys.stdout.flush()


def main():
    """A line on stdout for every safe point that was passed, a checkpoint after each."""
    paths = HomePaths(Path(sys.argv[1]))
    train_lstm(paths, sys.argv[2], LstmTraining(epochs=3, checkpoint_every_s=0.0), Counting())


if __name__ == "__main__":
    main()
