"""``python -m tradingai`` and the console script ``tradingai``."""

from __future__ import annotations

import sys

from tradingai.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
