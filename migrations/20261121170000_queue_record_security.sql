-- Since when an admin has nothing new sent to a server; NULL: what waits is sent.
ALTER TABLE servers ADD COLUMN queue_paused_ms BIGINT;
-- What the row of the job's resource said when the job was written: what it goes back to when a later job is taken back. Empty
-- once a newer state was applied.
ALTER TABLE jobs ADD COLUMN desired TEXT NOT NULL DEFAULT '';
-- What the worker kept of the job beside its steps.
ALTER TABLE jobs ADD COLUMN record TEXT NOT NULL DEFAULT '';
-- Earlier attempts of jobs that were tried again.
CREATE TABLE job_attempts (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    state TEXT NOT NULL,
    steps TEXT NOT NULL,
    failure TEXT,
    effect TEXT,
    detail TEXT NOT NULL,
    record TEXT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT,
    PRIMARY KEY (job_id, attempt)
);
-- How many requests of an account have not ended.
CREATE INDEX operations_open ON operations (account_id) WHERE state IN ('waiting', 'working');
-- Operations per minute.
CREATE INDEX operations_finished ON operations (finished_ms);

-- What workers, dispatch and the bus refused as a matter of security.
CREATE TABLE security_events (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    -- The name outlives its server.
    server_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    times BIGINT NOT NULL,
    -- When an admin said that it was seen.
    seen_ms BIGINT
);
CREATE INDEX security_events_unseen ON security_events (id) WHERE seen_ms IS NULL;
