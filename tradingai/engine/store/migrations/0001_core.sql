-- Events, jobs and their progress, runs, commands and controls.
-- Times are text, UTC, always with six digits of microseconds, so that text order is time order.

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters VALUES ('jobs', 0), ('controls', 0);

CREATE TABLE runs (
    run_id        TEXT PRIMARY KEY,
    kind          TEXT NOT NULL CHECK (kind IN ('live', 'replay', 'backtest', 'drill', 'soak')),
    clock         TEXT NOT NULL CHECK (clock IN ('real', 'simulated')),
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    settings_hash TEXT NOT NULL,
    code_version  TEXT NOT NULL,
    model_hashes  TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_live_run ON runs (kind) WHERE kind = 'live' AND ended_at IS NULL;

CREATE TABLE commands (
    command_id  TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    payload     TEXT NOT NULL,
    sender      TEXT NOT NULL,
    surface     TEXT NOT NULL,
    issued_at   TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'expired', 'refused')),
    result      TEXT,
    finished_at TEXT
) STRICT;

CREATE INDEX commands_by_state ON commands (state, issued_at);

CREATE TABLE jobs (
    job_id     TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    params     TEXT NOT NULL,
    threads    INTEGER NOT NULL CHECK (threads >= 1),
    state      TEXT NOT NULL
               CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled', 'interrupted')),
    runner     TEXT NOT NULL,
    pid        INTEGER,
    resumes    INTEGER NOT NULL DEFAULT 0,
    command_id TEXT REFERENCES commands (command_id),
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at   TEXT,
    result     TEXT,
    error      TEXT,
    log        TEXT NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_creation ON jobs (created_at);

CREATE TABLE job_progress (
    job_id  TEXT PRIMARY KEY REFERENCES jobs (job_id) ON DELETE CASCADE,
    at      TEXT NOT NULL,
    done    REAL NOT NULL,
    total   REAL NOT NULL,
    unit    TEXT NOT NULL,
    rate    REAL,
    eta_s   REAL,
    detail  TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    ts      TEXT NOT NULL,
    type    TEXT NOT NULL,
    level   TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    run_id  TEXT REFERENCES runs (run_id),
    job_id  TEXT REFERENCES jobs (job_id) ON DELETE SET NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_time ON events (ts);
CREATE INDEX events_by_job ON events (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE controls (
    name       TEXT PRIMARY KEY CHECK (name IN ('kill_switch', 'threshold')),
    value      TEXT NOT NULL,
    set_at     TEXT NOT NULL,
    sender     TEXT NOT NULL,
    surface    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    command_id TEXT NOT NULL REFERENCES commands (command_id)
) STRICT;
