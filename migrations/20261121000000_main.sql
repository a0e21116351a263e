-- Portable between SQLite and PostgreSQL: TEXT ids (UUIDv7), BIGINT epoch milliseconds, SMALLINT 0/1, TEXT JSON.

-- One row: this panel. The epoch tells its jobs from those of a restored or cloned copy.
CREATE TABLE panel (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    next_uid BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- People who sign in.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    login TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'client')),
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    password_hash TEXT NOT NULL,
    must_change_password SMALLINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL,
    CONSTRAINT users_login_key UNIQUE (login)
);

-- The cookie holds the token, the table its SHA-256.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    CONSTRAINT sessions_token_hash_key UNIQUE (token_hash)
);
CREATE INDEX sessions_user ON sessions (user_id);

-- Failed sign-ins by key: `login:<name>`, `address:<prefix>`, `all`.
CREATE TABLE throttles (
    key TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_ms BIGINT NOT NULL
);

CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hostname TEXT NOT NULL,
    roles TEXT NOT NULL,
    stream TEXT NOT NULL,
    max_accounts BIGINT,
    active SMALLINT NOT NULL DEFAULT 1,
    -- Where sites of this server answer, as shown to people; and its public keys, from enrolment on.
    address TEXT NOT NULL DEFAULT '',
    public_key TEXT,
    seal_key TEXT,
    -- What the newest heartbeat said.
    version TEXT NOT NULL DEFAULT '',
    php_versions TEXT NOT NULL DEFAULT '[]',
    heartbeat TEXT NOT NULL DEFAULT '',
    online SMALLINT NOT NULL DEFAULT 0,
    last_seen_ms BIGINT NOT NULL DEFAULT 0,
    changed_ms BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL,
    CONSTRAINT servers_name_key UNIQUE (name)
);

-- A token lets one worker join as one server, once. The web tier records the request, dispatch answers it.
CREATE TABLE enrolments (
    id TEXT PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    requested_ms BIGINT,
    public_key TEXT,
    seal_key TEXT,
    reply TEXT,
    CONSTRAINT enrolments_token_hash_key UNIQUE (token_hash)
);

-- Keys of workers that were replaced or removed: the bus lets nobody in with them any more.
CREATE TABLE revocations (
    public_key TEXT PRIMARY KEY,
    -- The name outlives its server.
    server_name TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX revocations_server_name ON revocations (server_name);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES users (id),
    linux_user TEXT NOT NULL,
    uid BIGINT NOT NULL,
    presence TEXT NOT NULL,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    applied_generation BIGINT NOT NULL DEFAULT 0,
    sftp_password_hash TEXT,
    cpu_percent BIGINT,
    memory_mib BIGINT,
    tasks BIGINT,
    last_operation_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    CONSTRAINT accounts_linux_user_key UNIQUE (linux_user),
    CONSTRAINT accounts_uid_key UNIQUE (uid)
);
CREATE INDEX accounts_owner ON accounts (owner_id);

-- An account lives on one server per role.
CREATE TABLE account_servers (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    server_id TEXT NOT NULL REFERENCES servers (id),
    PRIMARY KEY (account_id, role)
);
CREATE INDEX account_servers_server ON account_servers (server_id);

CREATE TABLE account_keys (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    CONSTRAINT account_keys_public_key_key UNIQUE (account_id, public_key)
);

CREATE TABLE php_pools (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    presence TEXT NOT NULL,
    settings TEXT NOT NULL,
    generation BIGINT NOT NULL,
    applied_generation BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT php_pools_version_key UNIQUE (account_id, version)
);

CREATE TABLE sites (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    domain TEXT NOT NULL,
    document_root TEXT NOT NULL,
    php_version TEXT,
    presence TEXT NOT NULL,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    applied_generation BIGINT NOT NULL DEFAULT 0,
    last_operation_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX sites_account ON sites (account_id);

-- Every name a site answers to, in the whole fleet. `position` 0 is the primary domain.
CREATE TABLE site_names (
    name TEXT NOT NULL,
    site_id TEXT NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    CONSTRAINT site_names_name_key PRIMARY KEY (name)
);
CREATE INDEX site_names_site ON site_names (site_id);

-- A registrable domain belongs to one account; names below it belong with it.
CREATE TABLE domain_claims (
    domain TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    CONSTRAINT domain_claims_domain_key PRIMARY KEY (domain)
);
CREATE INDEX domain_claims_account ON domain_claims (account_id);

-- What a person asked for. Kept after the resource is gone, so names are copied into `subject`.
CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    resource TEXT NOT NULL,
    subject TEXT NOT NULL,
    account_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    server_id TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_by_name TEXT NOT NULL,
    state TEXT NOT NULL,
    idempotency_key TEXT,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    CONSTRAINT operations_idempotency_key_key UNIQUE (asked_by, idempotency_key)
);
CREATE INDEX operations_state ON operations (state, id);
CREATE INDEX operations_owner ON operations (owner_id, id);
CREATE INDEX operations_account ON operations (account_id, id);
CREATE INDEX operations_resource ON operations (resource, id);

-- The queue. Ids sort by time; `position` orders the jobs of one operation.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    operation_id TEXT NOT NULL REFERENCES operations (id),
    position BIGINT NOT NULL,
    server_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    generation BIGINT NOT NULL,
    requires TEXT NOT NULL,
    job TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 1,
    steps TEXT NOT NULL DEFAULT '[]',
    progress_sequence BIGINT NOT NULL DEFAULT 0,
    failure TEXT,
    effect TEXT,
    detail TEXT NOT NULL DEFAULT '',
    created_ms BIGINT NOT NULL,
    sent_ms BIGINT,
    started_ms BIGINT,
    finished_ms BIGINT
);
CREATE INDEX jobs_operation ON jobs (operation_id, position);
CREATE INDEX jobs_queue ON jobs (state, server_id, id);
CREATE INDEX jobs_resource ON jobs (resource, generation);

-- Event ids already applied; kept for as long as the stream keeps events.
CREATE TABLE events_seen (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL
);

-- One dispatch leads.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    address TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
);
