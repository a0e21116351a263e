-- The worker of a server is a resource: each package that is asked for is its next generation.
ALTER TABLE servers ADD COLUMN worker_generation BIGINT NOT NULL DEFAULT 0;

-- Updates of several servers' workers, the first alone, then a few at a time.
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    at_once BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- 1 until it is over: there is one at a time.
    unfinished SMALLINT,
    asked_by TEXT NOT NULL,
    asked_by_name TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    CONSTRAINT rollouts_unfinished_key UNIQUE (unfinished)
);

-- Its servers in their order, each with the job it gets; `operation_id` once that was queued.
CREATE TABLE rollout_servers (
    rollout_id TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    spec TEXT NOT NULL,
    operation_id TEXT,
    PRIMARY KEY (rollout_id, server_id)
);
CREATE INDEX rollout_servers_server ON rollout_servers (server_id);
