-- Events as they were delivered: which sending of its server's each was, and when the bus had stored it.
CREATE TABLE event_sendings (
    server_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    number BIGINT NOT NULL,
    stored_ns BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (server_name, connection, number)
);
CREATE INDEX event_sendings_at ON event_sendings (at_ms);

-- The highest number of each connection that was forgotten.
CREATE TABLE event_sendings_forgotten (
    server_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (server_name, connection)
);
