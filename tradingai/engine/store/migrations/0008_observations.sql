-- Observations of the live loop: what each demands, what it is compared with, who approved it, what was written.
-- The clock itself is not stored: it is computed from heartbeats and scans. ``*_beat`` are numbers of heartbeats,
-- which only ever grow, whatever the wall clock does.

-- ``required`` and ``baseline``: JSON. ``told_restarts``: restarts of the clock the event log knows of.
CREATE TABLE observations (
    observation_id TEXT PRIMARY KEY,
    started_at     TEXT NOT NULL,
    after_beat     INTEGER NOT NULL,
    sender         TEXT NOT NULL,
    surface        TEXT NOT NULL,
    required       TEXT NOT NULL,
    baseline       TEXT NOT NULL,
    told_restarts  INTEGER NOT NULL DEFAULT 0,
    ended_at       TEXT,
    ended_beat     INTEGER,
    ended_why      TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX one_open_observation ON observations (ended_at IS NULL) WHERE ended_at IS NULL;

-- ``clock_beat``: the heartbeat the clock counted from when the approval was given.
CREATE TABLE observation_approvals (
    observation_id TEXT NOT NULL REFERENCES observations (observation_id),
    number         INTEGER NOT NULL,
    at             TEXT NOT NULL,
    clock_beat     INTEGER NOT NULL,
    hours          REAL NOT NULL,
    sender         TEXT NOT NULL,
    surface        TEXT NOT NULL,
    typed          TEXT NOT NULL,
    PRIMARY KEY (observation_id, number)
) STRICT, WITHOUT ROWID;

-- ``whole``: its day was over. Paths are relative to the home, ``sha256`` is the JSON file's.
CREATE TABLE observation_snapshots (
    observation_id TEXT NOT NULL REFERENCES observations (observation_id),
    day            INTEGER NOT NULL,
    at             TEXT NOT NULL,
    whole          INTEGER NOT NULL CHECK (whole IN (0, 1)),
    json_path      TEXT NOT NULL,
    markdown_path  TEXT NOT NULL,
    sha256         TEXT NOT NULL,
    PRIMARY KEY (observation_id, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE observation_verdicts (
    observation_id TEXT NOT NULL REFERENCES observations (observation_id),
    number         INTEGER NOT NULL,
    at             TEXT NOT NULL,
    word           TEXT NOT NULL CHECK (word IN ('GO', 'NO-GO', 'INSUFFICIENT')),
    decided_by     TEXT NOT NULL,
    text           TEXT NOT NULL,
    sender         TEXT NOT NULL,
    surface        TEXT NOT NULL,
    path           TEXT NOT NULL,
    PRIMARY KEY (observation_id, number)
) STRICT, WITHOUT ROWID;

-- The settings a run decides by, as JSON by name: what changed between two runs can be named.
CREATE TABLE run_settings (
    run_id   TEXT PRIMARY KEY REFERENCES runs (run_id),
    settings TEXT NOT NULL
) STRICT;

-- What an alert is about: of a signal its key.
ALTER TABLE alerts ADD COLUMN subject TEXT NOT NULL DEFAULT '';

CREATE INDEX alerts_by_subject ON alerts (channel, subject) WHERE subject <> '';
