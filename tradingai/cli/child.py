"""``python -m tradingai.cli.child …``: the command line in a process that ends with its parent.

Stdin is a pipe that the parent holds: its end means that the parent is gone, whatever became of it. Where the
kernel can (Linux), it ends this process by itself, also while it is stopped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress

from tradingai.cli.main import main

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main())
