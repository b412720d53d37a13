"""What is asked before the console is left: whatever runs in this process ends with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradingai.engine.queries.snapshot import ConsoleSnapshot

if TYPE_CHECKING:
    from tradingai.screens.dialog import Dialog


def leaving_dialog(snapshot: ConsoleSnapshot) -> Dialog | None:
    """The question, or None when nothing runs here."""
    running = snapshot.open_jobs if snapshot.header.engine == "here" else ()
    scanning = snapshot.loop.state in {"opening", "scanning"}
    if not running and not scanning:
        return None
    from tradingai.screens.dialog import Dialog

    names = [*(["the scan loop"] if scanning else []), *(job.title for job in running)]
    texts = [f"Still running here: {', '.join(names)}."]
    if running:
        texts.append("Jobs stop at their checkpoints, show as interrupted, and can be resumed with r.")
    if scanning:
        texts.append(
            "! Nothing is scanned while no console is open; the next one of this home goes on. "
            "`tradingai run` scans without a console."
        )
    parts = [*(["the scan loop"] if scanning else []), *([_jobs(len(running))] if running else [])]
    return Dialog(f"Quit with {' and '.join(parts)} running", texts, verb="stop and quit", keep="stay")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
