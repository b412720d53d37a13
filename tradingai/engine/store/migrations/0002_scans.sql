-- What runs of the scan loop did: every scan with its decisions, signals, trades and inputs, and the account.
-- Every row belongs to a run. Money in the account's currency, prices in the coin's quote currency.

CREATE TABLE run_accounts (
    run_id   TEXT PRIMARY KEY REFERENCES runs (run_id),
    scan_seq INTEGER NOT NULL,
    at       TEXT NOT NULL,
    desk     TEXT NOT NULL
) STRICT;

CREATE TABLE run_results (
    run_id  TEXT PRIMARY KEY REFERENCES runs (run_id),
    state   TEXT NOT NULL CHECK (state IN ('finished', 'failed', 'interrupted')),
    request TEXT NOT NULL,
    result  TEXT NOT NULL
) STRICT;

CREATE TABLE desk_changes (
    run_id     TEXT NOT NULL REFERENCES runs (run_id),
    number     INTEGER NOT NULL,
    after_scan INTEGER NOT NULL,
    at         TEXT NOT NULL,
    cause      TEXT NOT NULL,
    detail     TEXT NOT NULL,
    desk       TEXT NOT NULL,
    config     TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE scans (
    run_id      TEXT NOT NULL REFERENCES runs (run_id),
    seq         INTEGER NOT NULL,
    due         TEXT NOT NULL,
    at          TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('done', 'late', 'failed')),
    detail      TEXT NOT NULL,
    latency_ms  REAL,
    took_ms     REAL,
    threshold   REAL,
    killed      INTEGER NOT NULL CHECK (killed IN (0, 1)),
    kill_source TEXT NOT NULL,
    balance     REAL,
    equity      REAL,
    drawdown    REAL,
    guard       TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX scans_by_time ON scans (run_id, at);

CREATE TABLE signals (
    run_id      TEXT NOT NULL,
    key         TEXT NOT NULL,
    scan_seq    INTEGER NOT NULL,
    symbol      TEXT NOT NULL,
    at          TEXT NOT NULL,
    side        TEXT NOT NULL CHECK (side IN ('long', 'short')),
    tier        TEXT,
    confidence  REAL NOT NULL,
    entry       REAL NOT NULL,
    take_profit REAL NOT NULL,
    stop_loss   REAL NOT NULL,
    reward_risk REAL NOT NULL,
    quantity    REAL NOT NULL,
    risk_money  REAL NOT NULL,
    spread_bps  REAL NOT NULL,
    slip_bps    REAL NOT NULL,
    latency_ms  REAL NOT NULL,
    mode        TEXT NOT NULL,
    PRIMARY KEY (run_id, key),
    FOREIGN KEY (run_id, scan_seq) REFERENCES scans (run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX signals_by_time ON signals (run_id, at);

CREATE TABLE decisions (
    run_id       TEXT NOT NULL,
    scan_seq     INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    symbol       TEXT NOT NULL,
    at           TEXT NOT NULL,
    candle       TEXT,
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    p_up         REAL,
    confidence   REAL,
    side         TEXT,
    tier         TEXT,
    threshold    REAL NOT NULL,
    size_factor  REAL NOT NULL,
    outputs      TEXT NOT NULL,
    versions     TEXT NOT NULL,
    input_sha256 TEXT NOT NULL,
    failed       INTEGER NOT NULL CHECK (failed IN (0, 1)),
    signal_key   TEXT,
    PRIMARY KEY (run_id, scan_seq, place),
    FOREIGN KEY (run_id, scan_seq) REFERENCES scans (run_id, seq),
    FOREIGN KEY (run_id, signal_key) REFERENCES signals (run_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE trades (
    run_id       TEXT NOT NULL,
    key          TEXT NOT NULL,
    scan_seq     INTEGER NOT NULL,
    symbol       TEXT NOT NULL,
    side         TEXT NOT NULL CHECK (side IN ('long', 'short')),
    tier         TEXT,
    confidence   REAL NOT NULL,
    quantity     REAL NOT NULL,
    decided_at   TEXT NOT NULL,
    reference    REAL NOT NULL,
    entry_at     TEXT NOT NULL,
    entry        REAL NOT NULL,
    stop         REAL NOT NULL,
    target       REAL NOT NULL,
    exit_at      TEXT NOT NULL,
    exit         REAL NOT NULL,
    exit_reason  TEXT NOT NULL,
    spread_bps   REAL NOT NULL,
    slippage_bps REAL NOT NULL,
    commission   REAL NOT NULL,
    swap         REAL NOT NULL,
    risk_money   REAL NOT NULL,
    net          REAL NOT NULL,
    r            REAL NOT NULL,
    mae_r        REAL NOT NULL,
    mfe_r        REAL NOT NULL,
    PRIMARY KEY (run_id, key),
    FOREIGN KEY (run_id, scan_seq) REFERENCES scans (run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX trades_by_exit ON trades (run_id, exit_at);

-- What a scan saw of each coin: the raw closed candles that were new to it (by hash and range), and the
-- features it computed from them, float32 little-endian, one row a minute, the newest minutes last.
CREATE TABLE scan_inputs (
    run_id          TEXT NOT NULL,
    scan_seq        INTEGER NOT NULL,
    symbol          TEXT NOT NULL,
    first_candle    TEXT,
    last_candle     TEXT,
    candles         INTEGER NOT NULL,
    input_sha256    TEXT NOT NULL,
    features_sha256 TEXT NOT NULL,
    features_until  TEXT,
    features        BLOB,
    PRIMARY KEY (run_id, scan_seq, symbol),
    FOREIGN KEY (run_id, scan_seq) REFERENCES scans (run_id, seq)
) STRICT, WITHOUT ROWID;

-- Models that started cold within a scan, and models that were refused when they should have.
CREATE TABLE warm_starts (
    run_id          TEXT NOT NULL,
    scan_seq        INTEGER NOT NULL,
    model           TEXT NOT NULL,
    version         TEXT NOT NULL,
    kind            TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    artifact_sha256 TEXT NOT NULL,
    first_candle    TEXT,
    last_candle     TEXT,
    refused         TEXT NOT NULL,
    PRIMARY KEY (run_id, scan_seq, model),
    FOREIGN KEY (run_id, scan_seq) REFERENCES scans (run_id, seq)
) STRICT, WITHOUT ROWID;
