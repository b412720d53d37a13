-- Alerts on their way to a chat or a file, derived from the events of the live run and of no run.

-- ``position``: events up to this number were looked at, and what they ask for stands in ``alerts``.
-- ``notes``: JSON, what the next event is judged by (which feeds are silent).
CREATE TABLE alert_channels (
    channel  TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    notes    TEXT NOT NULL,
    error    TEXT NOT NULL,
    error_at TEXT
) STRICT;

-- One row for each event and channel. ``unknown``: attempts after which nobody can say whether it arrived.
-- ``missed``: a signal that outlived its horizon; ``stopped``: held by the kill switch; ``dead``: refused.
CREATE TABLE alerts (
    channel      TEXT NOT NULL REFERENCES alert_channels (channel),
    seq          INTEGER NOT NULL,
    run_id       TEXT NOT NULL REFERENCES runs (run_id),
    kind         TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    title        TEXT NOT NULL,
    body         TEXT NOT NULL,
    at           TEXT NOT NULL,
    expires_at   TEXT,
    state        TEXT NOT NULL
                 CHECK (state IN ('waiting', 'sending', 'delivered', 'missed', 'stopped', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    unknown      INTEGER NOT NULL DEFAULT 0,
    delivered_at TEXT,
    delivery_s   REAL,
    error        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (channel, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_by_turn ON alerts (channel, state, priority, seq);

-- Updates the bot has seen, so that none is acted on twice.
CREATE TABLE bot_updates (
    bot_id    INTEGER NOT NULL,
    update_id INTEGER NOT NULL,
    at        TEXT NOT NULL,
    PRIMARY KEY (bot_id, update_id)
) STRICT, WITHOUT ROWID;

-- Wrong confirmation codes.
CREATE TABLE bot_failures (
    user_id INTEGER NOT NULL,
    at      TEXT NOT NULL
) STRICT;

CREATE INDEX bot_failures_by_user ON bot_failures (user_id, at);
