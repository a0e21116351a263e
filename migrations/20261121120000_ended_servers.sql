-- Servers that were deleted. What they have on the bus (a consumer, an account) is ended by dispatch, and stays ended.
CREATE TABLE ended_servers (
    name TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- When dispatch had ended all of it; NULL until then.
    closed_ms BIGINT
);
