"""``tradingai train``: models."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.arguments import positive
from tradingai.cli.context import Invocation, JsonFlag, writing
from tradingai.cli.output import duration, percent, table, write_json, write_line
from tradingai.engine.core.symbols import lstm_name, parse_symbols

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

EpochsOption = Annotated[int, typer.Option("--epochs", help="Passes over the training range.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the first weights.")]
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
    return train_lstms(
        writing(ctx), parse_symbols(coin), epochs=positive(epochs, "--epochs"), seed=seed, fresh=fresh,
        as_json=as_json,
    )  # fmt: skip


@app.command(name="all")
def train_all(
    ctx: typer.Context,
    *,
    epochs: EpochsOption = 10,
    seed: SeedOption = 7,
    fresh: FreshOption = False,
    as_json: JsonFlag = False,
) -> int:
    """Train every model of the pipeline: the LSTM of each coin in SYMBOLS."""
    return train_lstms(
        writing(ctx), None, epochs=positive(epochs, "--epochs"), seed=seed, fresh=fresh, as_json=as_json
    )


def train_lstms(
    call: Invocation, symbols: tuple[str, ...] | None, *, epochs: int, seed: int, fresh: bool, as_json: bool
) -> int:
    """Train the LSTMs of ``symbols`` (of the settings' when None) and show what came out."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import StartTraining

    async def body(current: Work) -> list[dict[str, Any]]:
        chosen = symbols or current.settings.symbols
        results = await current.run(
            [
                StartTraining(**current.issue(), symbol=symbol, epochs=epochs, seed=seed, fresh=fresh)
                for symbol in chosen
            ]
        )
        return [
            {"model": lstm_name(symbol), **result.result, "job_seconds": result.seconds}
            for symbol, result in zip(chosen, results, strict=True)
        ]

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
