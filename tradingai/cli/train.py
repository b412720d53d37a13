"""``tradingai train``: models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tradingai.cli.arguments import positive
from tradingai.cli.context import Invocation, JsonFlag, writing
from tradingai.cli.output import duration, percent, table, write_json, write_line
from tradingai.engine.core.symbols import lstm_name, parse_symbols, trainable_models

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

EpochsOption = Annotated[int, typer.Option("--epochs", help="Passes over the training range.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the first weights.")]
CoinsOption = Annotated[
    str | None, typer.Option("--coins", metavar="A,B", help="The coins it looks at; default: SYMBOLS.")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing.")]


@app.callback()
def train() -> None:
    """Train models; continues from a checkpoint when there is one."""


@app.command()
def lstm(
    ctx: typer.Context,
    *,
    coin: Annotated[str, typer.Option("--coin", metavar="A[,B]", help="BTC means BTC-USD.")],
    epochs: EpochsOption = 10,
    seed: SeedOption = 7,
    fresh: FreshOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Train one coin's LSTM."""
    models = [lstm_name(symbol) for symbol in parse_symbols(coin)]
    wanted = Wanted(positive(epochs, "--epochs"), seed, fresh)
    return train_models(writing(ctx), lambda _: models, wanted, as_json=as_json)


@app.command()
def transformer(
    ctx: typer.Context,
    *,
    coins: CoinsOption = None,
    epochs: EpochsOption = 10,
    seed: SeedOption = 7,
    fresh: FreshOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Train the Transformer, one network that looks at all coins at once."""
    wanted = Wanted(positive(epochs, "--epochs"), seed, fresh, _coins(coins))
    return train_models(writing(ctx), lambda _: ["transformer"], wanted, as_json=as_json)


@app.command()
def ppo(
    ctx: typer.Context,
    *,
    coins: CoinsOption = None,
    seed: SeedOption = 7,
    fresh: FreshOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Train the agent: short, flat or long of every coin, after costs, by proximal policy optimisation."""
    wanted = Wanted(10, seed, fresh, _coins(coins))
    return train_models(writing(ctx), lambda _: ["ppo"], wanted, as_json=as_json)


@app.command(name="all")
def train_all(
    ctx: typer.Context,
    *,
    epochs: EpochsOption = 10,
    seed: SeedOption = 7,
    fresh: FreshOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Train every model side by side: Transformer, agent, and the LSTM of each coin in SYMBOLS.

    As many run at once as JOB_WORKERS allows, each on JOB_THREADS threads.
    """
    wanted = Wanted(positive(epochs, "--epochs"), seed, fresh)
    return train_models(writing(ctx), trainable_models, wanted, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to train."""

    epochs: int
    seed: int
    fresh: bool
    symbols: tuple[str, ...] | None = None
    """Of a model of several coins; None: SYMBOLS."""


def train_models(
    call: Invocation, models: Callable[[tuple[str, ...]], Sequence[str]], wanted: Wanted, *, as_json: bool
) -> int:
    """Train what ``models`` makes of the settings' coins, and show what came out."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import StartTraining

    async def body(current: Work) -> list[dict[str, Any]]:
        results = await current.run(
            [
                StartTraining(
                    **current.issue(), model=model, symbols=wanted.symbols, epochs=wanted.epochs,
                    seed=wanted.seed, fresh=wanted.fresh,
                )
                for model in models(current.settings.symbols)
            ]
        )  # fmt: skip
        return [{**result.result, "job_seconds": result.seconds} for result in results]

    trained = work(call, body)
    if as_json:
        write_json(trained)
        return 0
    rows = [
        (item["model"], str(item["epochs"]), str(item["best_epoch"]), percent(item["validation_accuracy"]),
         duration(item["job_seconds"]), item["sha256"][:12])
        for item in trained
    ]  # fmt: skip
    headers = ("model", "epochs", "best", "validation", "took", "artifact")
    write_line(table(headers, rows, right=headers[1:5]))
    write_line("Next: " + "; ".join(f"`tradingai evaluate {item['model']}`" for item in trained))
    return 0


def _coins(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else parse_symbols(text)
