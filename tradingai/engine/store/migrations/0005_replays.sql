-- What a run over stored candles was asked for, written as it begins: a reader finds the one that goes on, how
-- far it will go, and how fast. ``speed``: simulated seconds in a real one, NULL: as fast as it goes.

CREATE TABLE replay_runs (
    run_id     TEXT PRIMARY KEY REFERENCES runs (run_id),
    first_at   TEXT NOT NULL,
    last_at    TEXT NOT NULL,
    interval_s INTEGER NOT NULL CHECK (interval_s >= 1),
    speed      REAL CHECK (speed > 0)
) STRICT;
