"""``tradingai data``: candles."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.arguments import existing_file, parse_source, parse_time
from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import count, moment, table, write_json, write_line
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import parse_market, parse_symbol, parse_symbols

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

SymbolsOption = Annotated[
    str | None, typer.Option("--symbols", metavar="A,B", help="Pairs; default: the settings' SYMBOLS.")
]
TimeOption = Annotated[str | None, typer.Option(metavar="TIME", help="UTC; default: the quick workload's.")]
MarketOption = Annotated[
    str | None, typer.Option("--market", help="cycles, null, weak or drift; default: the settings'.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Default: the settings'.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Allow candles of another provider to be replaced.")
]


@app.callback()
def data() -> None:
    """Candles: generate, fetch, import, list, quality."""


@app.command()
def generate(
    ctx: typer.Context,
    *,
    symbols: SymbolsOption = None,
    start: TimeOption = None,
    end: TimeOption = None,
    market: MarketOption = None,
    seed: SeedOption = None,
    drift_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Market drift: when its cycles end; default at 85 %.")
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Make synthetic candles and their oracle; the same market and seed give the same candles."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import GenerateCandles
    from tradingai.engine.pipeline.plan import WORKLOADS

    quick = WORKLOADS["quick"]
    first = quick.start if start is None else parse_time(start, "--start")
    last = quick.end if end is None else parse_time(end, "--end")
    drift = None if drift_at is None else parse_time(drift_at, "--drift-at")
    preset = None if market is None else parse_market(market)
    named = None if symbols is None else parse_symbols(symbols)

    async def body(current: Work) -> tuple[str, ...]:
        settings = current.settings
        chosen = named or settings.symbols
        await current.run(
            [
                GenerateCandles(
                    **current.issue(), symbol=symbol, market=preset or settings.synthetic_market, start=first,
                    end=last, replace=replace, seed=settings.synthetic_seed if seed is None else seed,
                    drift_at=drift,
                )
                for symbol in chosen
            ]
        )  # fmt: skip
        return chosen

    chosen = work(writing(ctx), body)
    return show_datasets(ctx, chosen, as_json=as_json)


@app.command()
def fetch(
    ctx: typer.Context,
    *,
    provider: Annotated[
        str | None, typer.Option("--provider", help="ccxt or yfinance; default: DATA_PROVIDER, else ccxt.")
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", help="Of ccxt: binance, coinbase, kraken, …; default: EXCHANGE."),
    ] = None,
    symbols: SymbolsOption = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="UTC; default: where the stored candles end.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="UTC; default: the newest closed candle.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Allow candles of another source to be replaced.")
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Download real candles; interrupted it goes on where it stopped, again it fetches only what is new."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import FetchCandles

    first = None if start is None else parse_time(start, "--start")
    last = None if end is None else parse_time(end, "--end")
    source = None if provider is None else parse_source(provider)
    named = None if symbols is None else parse_symbols(symbols)

    async def body(current: Work) -> tuple[str, ...]:
        settings = current.settings
        chosen = named or settings.symbols
        origin = source or ("yfinance" if settings.data_provider == "yfinance" else "ccxt")
        if exchange is not None and origin != "ccxt":
            raise UsageError(f"provider {origin} has no --exchange", remedy="Leave it out.")
        await current.run(
            [
                FetchCandles(
                    **current.issue(), symbol=symbol, provider=origin, exchange=exchange, start=first,
                    end=last, replace=replace,
                )
                for symbol in chosen
            ]
        )  # fmt: skip
        return chosen

    chosen = work(writing(ctx), body)
    return show_datasets(ctx, chosen, as_json=as_json)


@app.command(name="import")
def import_file(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="CSV or Parquet with time, open, high, low, close, volume.")],
    symbol: Annotated[str, typer.Option("--symbol", help="The pair these candles are of.")],
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Times without a zone are UTC; refused otherwise.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Allow fetched candles, or a longer range, to be replaced by FILE's."),
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Read candles from a CSV or Parquet file, clean them and keep a quality report."""
    from tradingai.cli.quality import show_quality
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import ImportCandles

    name = parse_symbol(symbol)
    path = existing_file(file)

    async def body(current: Work) -> None:
        await current.run(
            [ImportCandles(**current.issue(), symbol=name, file=path, replace=replace, assume_utc=assume_utc)]
        )

    work(writing(ctx), body)
    if as_json:
        return show_datasets(ctx, (name,), as_json=True)
    return show_quality(invocation(ctx), name, flags=False, as_json=False)


@app.command(name="list")
def list_datasets(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """The candles of this home."""
    return show_datasets(ctx, None, as_json=as_json)


@app.command()
def quality(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="A pair, for example BTC-USD.")],
    flags: Annotated[bool, typer.Option("--flags", help="List every bar that carries a flag.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """What cleaning found in one pair's candles, and what it changed."""
    from tradingai.cli.quality import show_quality

    return show_quality(invocation(ctx), parse_symbol(symbol), flags=flags, as_json=as_json)


def show_datasets(ctx: typer.Context, symbols: tuple[str, ...] | None, *, as_json: bool) -> int:
    """The manifests of ``symbols`` (of all when None)."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.store.manifests import DatasetManifest, list_dataset_manifests

    def document(found: DatasetManifest) -> dict[str, Any]:
        names = ("symbol", "provider", "market", "seed", "rows", "start", "end", "sha256", "quality")
        more = {
            "synthetic": found.synthetic,
            "exchange": found.exchange,
            "market_symbol": found.market_symbol,
        }
        return {**{name: getattr(found, name) for name in names}, **more}

    def origin_of(found: DatasetManifest) -> str:
        there = found.market or " ".join(filter(None, (found.exchange, found.market_symbol)))
        return there or "–"

    home = open_home(invocation(ctx).home, RealClock(), read_only=True)
    stored = list_dataset_manifests(home.paths)
    manifests = [item for item in stored if symbols is None or item.symbol in symbols]
    if as_json:
        write_json([document(item) for item in manifests])
    elif manifests:
        rows = [
            (item.symbol, item.provider, origin_of(item), count(item.rows), moment(item.start),
             moment(item.end), item.sha256[:12])
            for item in manifests
        ]  # fmt: skip
        headers = ("symbol", "provider", "market", "candles", "first", "last", "values")
        write_line(table(headers, rows, right=("candles",)))
    else:
        write_line(
            "No candles yet: `tradingai data generate`, `data fetch`, or `data import FILE --symbol S`."
        )
    return 0
