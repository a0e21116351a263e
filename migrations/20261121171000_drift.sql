-- What a server's worker found to be other than it was applied, and has not found mended since.
CREATE TABLE drifts (
    resource TEXT PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The applied generation it was compared with.
    generation BIGINT NOT NULL,
    differences TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);
CREATE INDEX drifts_server ON drifts (server_id);
CREATE INDEX drifts_account ON drifts (account_id);
-- Whether drift on a server is repaired without being asked. Without a row it is reported.
CREATE TABLE drift_policies (
    server_id TEXT PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    policy TEXT NOT NULL CHECK (policy IN ('report', 'repair'))
);
-- nginx configuration of admins' own that nginx refused, and that the worker renamed for it.
CREATE TABLE set_aside (
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    said TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (server_id, path)
);
-- What each applied state of a site has become on its server, and the state itself.
CREATE TABLE site_configurations (
    site_id TEXT NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    operation_id TEXT NOT NULL,
    job TEXT NOT NULL,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (site_id, generation)
);
