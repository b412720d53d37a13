"""Files an operator asks for: a section's rows as CSV, a screen as SVG."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import write_atomic
from tradingai.widgets.section import Table


def csv_text(table: Table) -> str:
    """All rows of a section, with full values."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.heads)
    writer.writerows(row.plain for row in table.rows)
    return text.getvalue()


def write_export(root: Path, name: str, text: str, what: str) -> tuple[str, str]:
    """Write below ``reports/console``; what to say of it, and how loud."""
    path = root / "reports" / "console" / name
    try:
        write_atomic(path, lambda stream: stream.write(text.encode()))
    except TradingAIError as error:
        return f"{error.message}. {error.remedy}", "error"
    return f"{what} {path.relative_to(root)}", "info"
