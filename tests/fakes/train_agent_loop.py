"""A child that trains the agent until it is killed or done: its argument is the home."""

import sys
from pathlib import Path

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.training.ppo import train_ppo

from tests.fakes.small_environments import AGENT_COINS, COSTS, agent_training


class Counting(SilentReporter):
    """Says how far it is."""

    def safe_point(self):
        """Never stops."""
        sys.stdout.write(".\n")
        sys.stdout.flush()


def main():
    """A line on stdout for every safe point that was passed, a checkpoint after each."""
    train_ppo(HomePaths(Path(sys.argv[1])), AGENT_COINS, agent_training(), Counting(), costs=COSTS)


if __name__ == "__main__":
    main()
