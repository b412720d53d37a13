"""Where networks are computed, and how the same inputs give the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils import deterministic

from tradingai.engine.core.errors import UsageError

DEVICES: Final = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and the reduced precision its matrix products may use (None: float32 throughout)."""

    device: torch.device
    reduced: torch.dtype | None
    label: str
    """For people: ``cpu``, ``mps``, ``cuda NVIDIA …``."""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``: part of what a training is identified by."""
        return self.device.type

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which networks run forward on this device."""
        if self.reduced is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.reduced)


def choose_compute(preference: str = "auto") -> Compute:
    """CUDA, else MPS, else the CPU; or the one asked for. Raises UsageError when it is not there.

    CUDA multiplies in bfloat16 where the card has it. The CPU stays in float32: oneDNN has no LSTM in
    bfloat16 for training on most CPUs, and where it has one the carried state would lose its last digits.
    """
    if preference not in DEVICES:
        raise UsageError(f"unknown device {preference!r}", remedy=f"Choose one of {', '.join(DEVICES)}.")
    if preference in {"auto", "cuda"} and torch.cuda.is_available():
        reduced = torch.bfloat16 if torch.cuda.is_bf16_supported() else None
        return Compute(torch.device("cuda"), reduced, f"cuda {torch.cuda.get_device_name()}")
    if preference in {"auto", "mps"} and torch.backends.mps.is_available():
        return Compute(torch.device("mps"), None, "mps")
    if preference in {"auto", "cpu"}:
        return Compute(torch.device("cpu"), None, "cpu")
    raise UsageError(f"this machine has no {preference} device", remedy="Leave the device to `auto`.")


@contextmanager
def reproducible(compute: Compute, threads: int) -> Iterator[None]:
    """Run torch on a fixed number of threads, deterministically, with a random state of its own.

    On the CPU equal inputs, seed and thread count give equal bits. The number of threads, the random state
    and the choice of algorithms are the caller's again afterwards. Numbers too small for a normal float32
    are flushed to zero: they carry no information and cost hundreds of cycles each. New memory is not filled
    beforehand, which is for finding reads of what nobody wrote and costs a twentieth of a training.
    """
    before, algorithms = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # torch adds it at run time
    devices = [torch.cuda.current_device()] if compute.kind == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(compute.kind == "cpu")
            deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            torch.set_flush_denormal(True)
            yield
        finally:
            torch.set_flush_denormal(False)
            deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
            torch.use_deterministic_algorithms(algorithms)
            torch.set_num_threads(before)
