"""What happened: frozen dataclasses in the past tense, appended to the store with a sequence number.

One module a subject; every name is imported from here:

- ``base``: ``Event`` itself, and the way from JSON back to one.
- ``jobs``: jobs, the processes that do them, and what happens to the home itself.
- ``pipeline``: what the steps from candles to a trained model brought about.
- ``promotion``: what was found out about a trained model, and which version is live.
- ``engine``: the scan loop, its start and end, its scans, its replays, and what an operator told it.
- ``inputs``: what the scan loop works on: candles as they arrive, and the models that read them.
- ``trading``: decisions that became signals, the paper positions opened on them, the guard of the account.
- ``observation``: the observation of the live loop, its clock, its snapshots and its verdict.
- ``alerts``: what was told to the operator outside the console, and what could not be.

An event is known to ``event_from_json`` once its module is loaded: a new module is imported here.
"""

from __future__ import annotations

from tradingai.engine.core.events.alerts import (
    AlertDelivered,
    AlertRefused,
    DaySummarised,
    SignalsMissed,
    TelegramFailed,
)
from tradingai.engine.core.events.base import Event, event_from_json, event_level
from tradingai.engine.core.events.engine import (
    ClockJumped,
    EngineStarted,
    EngineStopped,
    KillSwitchSet,
    MetricsFailed,
    MetricsServed,
    ReplayFinished,
    ReplayStarted,
    ScanCompleted,
    ScanFailed,
    ScanLate,
    ScanLoopChosen,
    ScanLoopFailed,
    ScanOverrun,
    ThresholdSet,
    UpkeepFailed,
)
from tradingai.engine.core.events.inputs import (
    CandlesCleaned,
    CandlesRejected,
    CandlesRevised,
    ExecutionCostsChanged,
    FeedFailed,
    FeedRecovered,
    LiveCandlesCompacted,
    ModelFailed,
    ModelRefused,
    ModelWarmed,
    ProviderClockDiffers,
)
from tradingai.engine.core.events.jobs import (
    BackupWritten,
    HomeCreated,
    HomeRestored,
    JobFailed,
    JobFinished,
    JobInterrupted,
    JobSkipped,
    JobStarted,
    LogsLost,
    LogsResumed,
    MessageShown,
    StateRepaired,
    WorkerDied,
)
from tradingai.engine.core.events.observation import (
    ObservationApproved,
    ObservationClockRestarted,
    ObservationReported,
    ObservationSnapshotFailed,
    ObservationSnapshotWritten,
    ObservationStarted,
)
from tradingai.engine.core.events.pipeline import (
    CandlesStored,
    EpochFinished,
    FeaturesBuilt,
    FetchDelayed,
    PolicyUpdated,
    TrainingDiscarded,
    TrainingFinished,
    TrainingStarted,
)
from tradingai.engine.core.events.promotion import (
    EvaluationFinished,
    FoldScored,
    GateDecided,
    ModelPromoted,
    ModelRolledBack,
)
from tradingai.engine.core.events.trading import (
    AccountReset,
    DrillFinished,
    EntryCancelled,
    FtmoDayStarted,
    FtmoLimitBreached,
    GuardStateChanged,
    PositionClosed,
    PositionOpened,
    PriceRejected,
    RuleFailed,
    SignalEmitted,
)

__all__ = [
    "AccountReset",
    "AlertDelivered",
    "AlertRefused",
    "BackupWritten",
    "CandlesCleaned",
    "CandlesRejected",
    "CandlesRevised",
    "CandlesStored",
    "ClockJumped",
    "DaySummarised",
    "DrillFinished",
    "EngineStarted",
    "EngineStopped",
    "EntryCancelled",
    "EpochFinished",
    "EvaluationFinished",
    "Event",
    "ExecutionCostsChanged",
    "FeaturesBuilt",
    "FeedFailed",
    "FeedRecovered",
    "FetchDelayed",
    "FoldScored",
    "FtmoDayStarted",
    "FtmoLimitBreached",
    "GateDecided",
    "GuardStateChanged",
    "HomeCreated",
    "HomeRestored",
    "JobFailed",
    "JobFinished",
    "JobInterrupted",
    "JobSkipped",
    "JobStarted",
    "KillSwitchSet",
    "LiveCandlesCompacted",
    "LogsLost",
    "LogsResumed",
    "MessageShown",
    "MetricsFailed",
    "MetricsServed",
    "ModelFailed",
    "ModelPromoted",
    "ModelRefused",
    "ModelRolledBack",
    "ModelWarmed",
    "ObservationApproved",
    "ObservationClockRestarted",
    "ObservationReported",
    "ObservationSnapshotFailed",
    "ObservationSnapshotWritten",
    "ObservationStarted",
    "PolicyUpdated",
    "PositionClosed",
    "PositionOpened",
    "PriceRejected",
    "ProviderClockDiffers",
    "ReplayFinished",
    "ReplayStarted",
    "RuleFailed",
    "ScanCompleted",
    "ScanFailed",
    "ScanLate",
    "ScanLoopChosen",
    "ScanLoopFailed",
    "ScanOverrun",
    "SignalEmitted",
    "SignalsMissed",
    "StateRepaired",
    "TelegramFailed",
    "ThresholdSet",
    "TrainingDiscarded",
    "TrainingFinished",
    "TrainingStarted",
    "UpkeepFailed",
    "WorkerDied",
    "event_from_json",
    "event_level",
]
