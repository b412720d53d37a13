-- Whether a console that opens this home scans: a third control, remembered like kill switch and threshold.

CREATE TABLE controls_with_loop (
    name       TEXT PRIMARY KEY CHECK (name IN ('kill_switch', 'threshold', 'scan_loop')),
    value      TEXT NOT NULL,
    set_at     TEXT NOT NULL,
    sender     TEXT NOT NULL,
    surface    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    command_id TEXT NOT NULL REFERENCES commands (command_id)
) STRICT;

INSERT INTO controls_with_loop SELECT * FROM controls;
DROP TABLE controls;
ALTER TABLE controls_with_loop RENAME TO controls;
