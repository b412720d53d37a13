-- What the live scan loop leaves beside its scans: which feed a run reads, the candles it received, heartbeats.

CREATE TABLE live_runs (
    run_id          TEXT PRIMARY KEY REFERENCES runs (run_id),
    feed            TEXT NOT NULL,
    compacted_until TEXT
) STRICT;

-- Raw closed candles as the provider gave them; NULL where it gave no number. ``warm`` 1: history that filled
-- the windows after scan ``scan_seq`` (0: before the first); ``warm`` 0: what scan ``scan_seq`` received.
CREATE TABLE live_candles (
    run_id      TEXT NOT NULL REFERENCES runs (run_id),
    scan_seq    INTEGER NOT NULL,
    warm        INTEGER NOT NULL CHECK (warm IN (0, 1)),
    symbol      TEXT NOT NULL,
    ts_us       INTEGER NOT NULL,
    open        REAL,
    high        REAL,
    low         REAL,
    close       REAL,
    volume      REAL,
    received_at TEXT NOT NULL,
    PRIMARY KEY (run_id, scan_seq, warm, symbol, ts_us)
) STRICT, WITHOUT ROWID;

CREATE INDEX live_candles_by_time ON live_candles (run_id, symbol, ts_us);

-- ``engine`` names one start of the loop; ``boot_id`` and ``monotonic_s`` tell an observer how much time really
-- passed between two beats.
CREATE TABLE heartbeats (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      TEXT NOT NULL REFERENCES runs (run_id),
    engine      TEXT NOT NULL,
    boot_id     TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    at          TEXT NOT NULL,
    monotonic_s REAL NOT NULL,
    interval_s  REAL NOT NULL,
    scans       INTEGER NOT NULL,
    next_due    TEXT,
    state       TEXT NOT NULL CHECK (state IN ('started', 'scanning', 'stopped'))
) STRICT;

CREATE INDEX heartbeats_by_run ON heartbeats (run_id, seq);
