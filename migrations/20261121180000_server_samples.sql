-- A server's load, once a minute, for the charts of its page. Minutes since the epoch; rows of the last 25 hours.
CREATE TABLE server_samples (
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    minute BIGINT NOT NULL,
    -- Load average over one minute, in hundredths.
    load_centi BIGINT NOT NULL,
    memory_used_mib BIGINT NOT NULL,
    disk_used_mib BIGINT NOT NULL,
    PRIMARY KEY (server_id, minute)
);
