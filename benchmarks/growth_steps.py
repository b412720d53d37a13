"""Which of the product's functions make up which step of a stage; read by the sampler of growth_worker.

A step has every sample in which its function is the innermost one named here for the kind of job. A name that
ends in ``*`` stands for a whole module and what lies in it. A test asks that every name exists.
"""

from __future__ import annotations

from typing import Final

IMPORTS: Final = {"importlib._bootstrap*": "modules imported"}
REST: Final = "everything else"
LIBRARY_THREADS: Final = "threads of libraries"
BESIDE: Final = "backtests"
"""Here, or in the process beside an evaluation: its start and imports are counted with them."""
START: Final = "interpreter started, worker imported"

_P: Final = "tradingai.engine."
_BATTERY: Final = f"{_P}evaluation.leakage.battery:"
_SHORT: Final = f"{_P}evaluation.leakage.short_training:"

_FITS: Final = {
    f"{_P}datasets.dataset:load_dataset": "data read, hashes checked",
    f"{_P}datasets.together:load_together": "data read, hashes checked",
    f"{_P}training.job:fit_scalers": "scalers fitted",
    "torch.autograd:backward": "backward",
    "torch.optim.*": "optimiser",
    f"{_P}models.artifact:save_artifact": "artifact written",
    f"{_P}models.calibration:fit_calibrator": "calibration",
}

STEPS: Final[dict[str, dict[str, str]]] = {
    "generate": {
        f"{_P}providers.synthetic.market:SyntheticMarket.candles": "prices drawn",
        f"{_P}providers.synthetic.market:SyntheticMarket.oracle": "oracle",
        f"{_P}providers.cleaning:clean": "cleaning",
        f"{_P}store.oracle_files:write_oracle": "oracle written",
        f"{_P}providers.storing:store_cleaned": "candles and flags written, hashed",
    },
    "features": {
        f"{_P}features.build:read_inputs": "candles read, hashes checked",
        f"{_P}features.compute:compute_rows": "formulas",
        f"{_P}features.files:MatrixWriter.append": "matrix written, hashed",
    },
    "train": {
        **_FITS,
        f"{_P}training.lanes:LaneReader.chunk": "rows gathered and scaled",
        f"{_P}training.learning:answers": "forward",
        f"{_P}training.learning:losses": "loss",
        f"{_P}training.learning:limit_gradient": "gradient limited",
        f"{_P}training.stream:StreamFit._update": "rest of an update",
        f"{_P}training.stream:StreamFit._validate": "validation after each epoch",
        f"{_P}training.stream:StreamFit._checkpoint": "checkpoints",
        f"{_P}training.stream:StreamFit._tell": "progress told",
        f"{_P}models.warmup:measure_warmup": "warm-up measured",
        f"{_P}training.job:_Job._artifact": "calibration range predicted",
        f"{_P}training.market_env:MarketEnv.observe": "environment: rows gathered and scaled",
        f"{_P}training.market_env:MarketEnv.step": "environment: step",
        f"{_P}training.ppo_fit:PpoFit._collect": "collecting: policy asked, actions drawn",
        f"{_P}training.gae:advantages": "advantages",
        f"{_P}training.ppo_fit:PpoFit._gradient_step": "gradient step: batch, forward, loss",
        f"{_P}training.ppo_fit:PpoFit._finish_stage": "stages judged",
        f"{_P}training.ppo_fit:PpoFit._checkpoint": "checkpoints",
        f"{_P}training.ppo_fit:PpoFit._tell": "progress told",
        f"{_P}training.ppo:_Job._artifact": "calibration range predicted",
    },
    "evaluate": {
        f"{_P}evaluation.compose:compose_ensemble": "ensemble made of what is live",
        f"{_P}evaluation.evaluate:load_judged": "model, data and candles read, hashes checked",
        f"{_P}evaluation.evaluate:_examined": "test range predicted",
        f"{_P}evaluation.backtest:backtest": BESIDE,
        f"{_P}evaluation.agent:_daily_r": BESIDE,
        f"{_P}evaluation.evaluate:_judged": "oracle read",
        f"{_P}evaluation.leakage.causality:causality": "checks 1 and 2: prefix, future",
        f"{_BATTERY}_separation": "check 3: separation",
        f"{_BATTERY}_constants": "check 4: constants fitted again",
        f"{_BATTERY}_shuffled": "check 5: preparation",
        f"{_BATTERY}_logistic_fit.<locals>.fit": "check 5: logistic",
        f"{_BATTERY}_memory_fit.<locals>.fit": "check 5: memory",
        f"{_SHORT}_network.<locals>.prepare.<locals>.fit": "check 5: short training",
        f"{_SHORT}_agent.<locals>.fit": "check 5: short training",
        f"{_SHORT}_ensemble": "check 5: short training",
        f"{_SHORT}_ensemble.<locals>.fit": "check 5: short training",
        f"{_BATTERY}_single_feature": "check 6: single features",
        f"{_BATTERY}_inference": "check 7: truncated inference",
        f"{_P}evaluation.assess:assess": "scores",
        f"{_P}evaluation.assess:Assessment.report": "intervals, baselines, gates",
        f"{_P}registry.registry:Registry.record": "version kept, ledger",
    },
    "replay": {
        f"{_P}runtime.replay:read_inputs": "models and candles read",
        f"{_P}inference.blocks:BlockFeatures.__call__": "features, in blocks",
        f"{_P}inference.carried:CarriedNetwork._feed": "networks fed",
        f"{_P}inference.market:MarketModels.advance": "answers joined, ensemble",
        f"{_P}inference.stream:MarketStream.take": "candles taken in, cleaned",
        f"{_P}decision.scanning:scan_desk": "decisions, orders, account",
        f"{_P}runtime.records:scan_record": "rows made for the database",
        f"{_P}runtime.stored_scans:Unstored.store": "rows stored",
        "aiosqlite.*": "database",
        "sqlite3.*": "database",
    },
}
"""By kind of job: function to step."""


def step_names(kind: str) -> dict[str, str]:
    """``module:function`` (or ``module*``) to the step, of one kind of job."""
    return {**IMPORTS, **STEPS.get(kind, {})}


class StepFinder:
    """Says to which step a function belongs, by its module and qualified name."""

    def __init__(self, names: dict[str, str]) -> None:
        self._exact = {name: step for name, step in names.items() if not name.endswith("*")}
        self._modules = tuple((name[:-1], step) for name, step in names.items() if name.endswith("*"))

    def step(self, module: str, function: str) -> str | None:
        """The step; None for a function that is not named."""
        found = self._exact.get(f"{module}:{function}")
        if found is not None:
            return found
        return next((step for prefix, step in self._modules if f"{module}.".startswith(prefix)), None)
