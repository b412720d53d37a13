"""A worker whose Yahoo is on loopback: ``JobRunner(worker_module="tests.fakes.yahoo_worker")`` starts it.

YAHOO_PORT names the server. ``python -m tests.fakes.yahoo_worker`` carries out one job for its parent.
"""

from __future__ import annotations

import os
import sys

from tradingai.engine.providers import yahoo
from tradingai.engine.worker import main

from tests.fakes.yahoo_api import loopback_session

if __name__ == "__main__":
    yahoo.browser_session = lambda _proxy: loopback_session(int(os.environ["YAHOO_PORT"]))
    sys.exit(main())
