-- Jobs as they were delivered: which sending each was, and when the bus had stored it.
CREATE TABLE sendings (
    connection TEXT NOT NULL,
    number INTEGER NOT NULL,
    stored_ns INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (connection, number)
) WITHOUT ROWID;
CREATE INDEX sendings_at ON sendings (at_ms);
-- The highest number of each connection that was forgotten.
CREATE TABLE sendings_forgotten (
    connection TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;
