-- Jobs taken from the bus, outcomes of ended ones, and events on their way back.
CREATE TABLE inbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL UNIQUE,
    attempt INTEGER NOT NULL,
    account TEXT NOT NULL,
    envelope TEXT NOT NULL,
    -- When the job may start again after a passing failure, and how often it was tried by itself.
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE ended (
    job TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    payload BLOB NOT NULL,
    signature TEXT NOT NULL
);
