"""``tradingai models``: the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli.arguments import parse_model, parse_time
from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import moment, percent, table, write_json, write_line
from tradingai.engine.core.errors import MissingError

if TYPE_CHECKING:
    from tradingai.cli.progress import ProgressView
    from tradingai.engine.core.clock import Clock
    from tradingai.engine.core.ledger import LedgerEntry
    from tradingai.engine.core.model_report import ModelReport
    from tradingai.engine.registry.registry import Registry
    from tradingai.engine.registry.verify import Recompute, Verified

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="For example lstm_BTC-USD.")]
OptionalModel = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; default: all.")]
WhyOption = Annotated[str, typer.Option("--why", help="Written into the ledger.")]


@app.callback()
def models() -> None:
    """The registry: list, show, promote, rollback, verify, history."""


@app.command(name="list")
def list_models(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Every version with its newest evaluation, and which one is live."""
    rows = registry(ctx).list_models()
    if as_json:
        write_json([row.as_json() for row in rows])
    elif rows:
        cells = [
            (row.model, row.version, "live" if row.promoted else "–", "passed" if row.passed else "refused",
             percent(row.accuracy), str(row.attempt), moment(row.created_at), row.sha256[:12])
            for row in rows
        ]  # fmt: skip
        headers = ("model", "version", "state", "gates", "accuracy", "attempt", "evaluated", "artifact")
        write_line(table(headers, cells, right=("accuracy", "attempt")))
    else:
        write_line("No model was evaluated yet: `tradingai pipeline`, or `tradingai evaluate MODEL`.")
    return 0


@app.command()
def show(
    ctx: typer.Context,
    model: ModelArgument,
    version: Annotated[str | None, typer.Option("--version", help="Default: live, else the newest.")] = None,
    as_json: JsonFlag = False,
) -> int:
    """One version's certificate: metrics, tiers, gates."""
    from tradingai.cli.report import how_made, show_model

    name = parse_model(model)
    source = registry(ctx)
    live = source.ledger().live().get(name)
    chosen = version or (live.version if live else None)
    report = source.certificate(name, chosen)
    made = how_made(source.paths, report)
    if as_json:
        promoted = live is not None and live.version == report.version
        agent = {} if made is None else {"agent": None if made.agent is None else asdict(made.agent)}
        write_json({**report.as_json(), "promoted": promoted, **agent})
    else:
        show_model(report, made)
        write_line(f"Live: {live.version if live else 'none'}")
    return 0


@app.command()
def promote(
    ctx: typer.Context,
    model: ModelArgument,
    version: Annotated[str | None, typer.Option("--version", help="Default: the newest that passed.")] = None,
    why: WhyOption = "",
    as_json: JsonFlag = False,
) -> int:
    """Make a version that passed every gate live; exit 3 when it did not pass. There is no force option."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Promote

    name = parse_model(model)

    async def body(current: Work) -> Any:
        return await current.engine.execute(Promote(**current.issue(), model=name, version=version, why=why))

    entry = work(writing(ctx), body)
    show_change(entry, as_json=as_json)
    return 0


@app.command()
def rollback(
    ctx: typer.Context,
    model: OptionalModel = None,
    to: Annotated[str | None, typer.Option("--to", help="A version; default: the one live before.")] = None,
    why: WhyOption = "",
    as_json: JsonFlag = False,
) -> int:
    """Make an earlier promoted version live again, for one model or for all that are live."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Rollback

    call = writing(ctx)
    names = live_models(registry(ctx), to) if model is None else (parse_model(model),)

    async def body(current: Work) -> list[Any]:
        return [
            await current.engine.execute(Rollback(**current.issue(), model=name, version=to, why=why))
            for name in names
        ]

    entries = work(call, body)
    if as_json and model is None:
        write_json(entries)
    else:
        for entry in entries:
            show_change(entry, as_json=as_json)
    return 0


def live_models(source: Registry, version: str | None) -> tuple[str, ...]:
    """Models with a live version. Raises MissingError when there is none, or one never had ``version``."""
    ledger = source.ledger()
    names = tuple(ledger.live())
    if not names:
        raise MissingError("no model is live", remedy="`tradingai pipeline` trains and promotes models.")
    lacking = [
        name
        for name in names
        if version is not None and version not in {entry.version for entry in ledger.promotions(name)}
    ]
    if lacking:
        raise MissingError(
            f"{version} of {', '.join(lacking)} was never live; nothing was changed",
            remedy="`tradingai models history` shows what was. Name one model to roll back only that one.",
        )
    return names


def show_change(entry: Any, *, as_json: bool) -> None:
    """What went live."""
    if as_json:
        write_json(entry)
        return
    previous = entry["details"]["previous"]
    write_line(f"{entry['model']} {entry['version']} is live" + (f"; before: {previous}" if previous else ""))


@app.command()
def verify(
    ctx: typer.Context,
    model: OptionalModel = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare hashes only; evaluate nothing again.")
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Check the ledger's chain, every version's files and the links, and evaluate every version again.

    Each certificate is recomputed from its artifact and the stored data, the leakage checks included, and
    compared number by number: about ten seconds a version on the quick workload. Nothing is recorded and it
    is no attempt. Exit 1 when anything differs.
    """
    from tradingai.cli.progress import progress_view
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.registry.verify import verify as verify_registry

    name = None if model is None else parse_model(model)
    source, clock = registry(ctx), RealClock()
    with progress_view(clock) as view:
        recompute = None if quick else recomputing_shown(source, view, clock)
        found = verify_registry(source.paths, name, recompute)
    if as_json:
        show_verified_json(source, found)
    else:
        show_verified(source, found)
    return 0 if all(item.ok for item in found) else 1


def recomputing_shown(source: Registry, view: ProgressView, clock: Clock) -> Recompute:
    """Recompute certificates, each with its own line or bar of progress."""
    from tradingai.cli.reporting import ViewReporter
    from tradingai.engine.registry.verify import recomputing

    def recompute(report: ModelReport, entry: LedgerEntry) -> list[str]:
        with ViewReporter(view, f"recompute {entry.model} {entry.version}") as reporter:
            return recomputing(source.paths, reporter, clock)(report, entry)

    return recompute


def show_verified_json(source: Registry, found: Sequence[Verified]) -> None:
    """The document of ``models verify --json``."""
    fields = ("model", "version", "state", "detail", "live", "recomputed")
    write_json(
        {
            "ok": all(item.ok for item in found),
            "entries": len(source.ledger()),
            "versions": [{field: getattr(item, field) for field in fields} for item in found],
        }
    )


def show_verified(source: Registry, found: Sequence[Verified]) -> None:
    """The chain, then one line a version."""
    write_line(f"Ledger: {len(source.ledger())} entries, the chain is whole")
    cells = [
        (*_where(item.model, item.version), "live" if item.live else "–", item.state, item.detail)
        for item in found
    ]
    if cells:
        write_line(table(("model", "version", "", "state", "detail"), cells))
    again = sum(item.recomputed for item in found)
    if again:
        write_line(f"{again} of {len(cells)} versions evaluated again, every number compared.")


def _where(model: str, version: str) -> tuple[str, str]:
    """A finding without a version is about the links."""
    return (model or "links", version or "–")


@app.command()
def history(
    ctx: typer.Context,
    model: OptionalModel = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="What was live then, UTC.")] = None,
    as_json: JsonFlag = False,
) -> int:
    """What happened, oldest first; with --at what was live at that time."""
    name = None if model is None else parse_model(model)
    moment_asked = None if at is None else parse_time(at, "--at")
    source = registry(ctx)
    if moment_asked is None:
        entries = source.history(name)
    else:
        live = source.live_at(moment_asked)
        entries = tuple(entry for entry in live.values() if name in {None, entry.model})
    if as_json:
        write_json([entry.as_json() for entry in entries])
    elif entries:
        cells = [history_row(entry) for entry in entries]
        write_line(table(("#", "time", "what", "model", "version", "who", "why"), cells, right=("#",)))
    else:
        nothing = "Nothing has happened yet: `tradingai pipeline` starts."
        write_line("Nothing was live then." if at else nothing)
    return 0


def history_row(entry: LedgerEntry) -> tuple[str, ...]:
    """One entry as cells."""
    what = entry.kind.replace("_", " ")
    if entry.kind == "evaluated":
        what += ", passed" if entry.details["passed"] else ", refused"
        what += " (EXPLORATORY)" if entry.details["exploratory"] else ""
    return (str(entry.seq), moment(entry.at), what, entry.model, entry.version, entry.who, entry.why or "–")


def registry(ctx: typer.Context) -> Registry:
    """The home's registry, for reading. Raises MissingError when there is no home."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.registry.registry import Registry

    clock = RealClock()
    home = open_home(invocation(ctx).home, clock, read_only=True)
    return Registry(home.paths, clock, who="onlooker")
