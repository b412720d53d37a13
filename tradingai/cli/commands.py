"""The table of commands, in the order ``tradingai --help`` shows them."""

from __future__ import annotations

from tradingai.cli.lazy import LazyCommand, LazyGroup

COMMANDS = (
    LazyCommand("pipeline", "Everything from candles to promoted models and a replay; skips what is done."),
    LazyCommand("status", "Where the pipeline stands and what to do next."),
    LazyCommand("doctor", "What is wrong with this home, and what to do about it."),
    LazyCommand("backup", "Save database, registry and promoted versions to one file."),
    LazyCommand("restore", "Bring a backup back into a home."),
    LazyCommand("data", "Candles: generate, fetch, import, list, quality."),
    LazyCommand("features", "Features: build, list, check."),
    LazyCommand("train", "Train models; continues from a checkpoint when there is one."),
    LazyCommand("evaluate", "Metrics, leakage checks and gates; exit 3 when a gate refuses."),
    LazyCommand("models", "The registry: list, show, promote, rollback, verify, history."),
    LazyCommand(
        "run", "Scan live candles, decide and keep a paper account; dry-run is the only mode there is."
    ),
    LazyCommand("replay", "Run the scan loop over stored candles on a simulated clock, as a run of its own."),
    LazyCommand(
        "observe", "Observation: the continuous clock, its criteria, and the GO or NO-GO they end in."
    ),
    LazyCommand("signals", "Signals of the live runs, oldest first; of one run with --run."),
    LazyCommand(
        "threshold", "Show the threshold and where it comes from, set it, or go back to the settings'."
    ),
    LazyCommand(
        "kill",
        "The kill switch: while it is on nothing is emitted, and open paper positions close by their rules.",
    ),
    LazyCommand("metrics", "Metrics of a run: export those of the last hours to a file."),
    LazyCommand("ftmo", "The account and its rules: status, reset, the odds of a challenge."),
    LazyCommand("execution", "Execution costs: show, measure, import, rollback."),
    LazyCommand("telegram", "Telegram: check."),
)


class RootGroup(LazyGroup):
    """The ``tradingai`` command."""

    entries = COMMANDS
