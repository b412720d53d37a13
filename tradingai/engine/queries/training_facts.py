"""What a run and the artifact's record say of network, data and machine, ready to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradingai.engine.core.symbols import model_kind


def run_facts(
    model: str, run: Mapping[str, Any], record: Mapping[str, Any], card: Mapping[str, Any] | None
) -> dict[str, str]:
    """Label to text. ``record`` and ``card`` are those of the kept run; of another one nothing and None."""
    facts: dict[str, str] = {}
    if card is not None:
        facts |= _network(model_kind(model), card.get("config") or {})
        bars = (card.get("warmup") or {}).get("bars")
        facts["warm-up"] = f"{bars} bars" if bars else "none, it has no memory"
        facts["artifact"] = str(card.get("sha256", ""))[:8]
    facts |= _data(record)
    if card is not None:
        facts |= _calibration(card.get("coins") or [])
    threads = run.get("threads")
    facts["device"] = f"{run.get('device')}, {threads} thread{'' if threads == 1 else 's'}"
    if run.get("resumes"):
        facts["resumed"] = "once" if run["resumes"] == 1 else f"{run['resumes']} times"
    return facts


def _network(kind: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Inputs and shape of the network."""
    if kind == "lstm":
        return {
            "inputs": f"{config.get('inputs')} features",
            "network": f"{config.get('projection')} → LSTM {config.get('hidden')}",
        }
    if kind == "transformer":
        widths = config.get("inputs") or []
        layers = config.get("layers")
        return {
            "inputs": f"{' + '.join(map(str, widths))} features",
            "network": f"{config.get('width')} wide, {layers} layer{'' if layers == 1 else 's'}",
            "attention": f"{config.get('heads')} heads, {config.get('window')} minutes, causal",
        }
    if kind == "ppo":
        return {
            "inputs": f"{config.get('inputs')} features, position",
            "network": f"{config.get('hidden')} a coin → {config.get('width')} → action, value",
            "actions": "short, flat, long",
        }
    return {}


def _data(record: Mapping[str, Any]) -> dict[str, str]:
    """Bars of each range, and what was purged between them."""
    facts: dict[str, str] = {}
    split = record.get("split") or {}
    coins = len(record.get("coins") or ())
    of = " a coin" if coins > 1 else ""
    for name, label in (
        ("train", "train"),
        ("early_stop", "early stop half"),
        ("calibration", "calibration half"),
    ):
        if name in split:
            facts[label] = f"{split[name][1] - split[name][0]:,} bars{of}"
    if split:
        facts["purged"] = f"{split.get('purged_size')} bars a boundary"
    return facts


def _calibration(coins: list[Mapping[str, Any]]) -> dict[str, str]:
    """The calibrator of the coin; of several coins that of each, with its slope."""
    if len(coins) == 1:
        return {"calibration": str(coins[0]["calibrator"]["method"])}
    return {f"calibration {part['symbol']}": _calibrator(part["calibrator"]) for part in coins}


def _calibrator(document: Mapping[str, Any]) -> str:
    """The method, and what it multiplies logits with where it does."""
    method = str(document["method"])
    return method if method == "isotonic" else f"{method} × {float(document['slope']):.2f}"
