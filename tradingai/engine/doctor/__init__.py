"""What is wrong with a home, and what to do about it.

Looks only: makes nothing, locks nothing, repairs nothing.
"""

from tradingai.engine.doctor.examination import Examination, Finding
from tradingai.engine.doctor.examine import examine

__all__ = ["Examination", "Finding", "examine"]
