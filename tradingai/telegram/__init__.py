"""The Telegram bot: a surface of the engine, on python-telegram-bot.

``PTB_TIMEDELTA`` makes the library give Telegram's retry-after as a timedelta instead of warning about it.
"""

import os

os.environ.setdefault("PTB_TIMEDELTA", "1")
