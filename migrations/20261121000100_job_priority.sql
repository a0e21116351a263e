-- Jobs of a higher priority go out first. Above 0 are those that a host is sent again after it has lost them: accounts, then
-- pools, because sites need both.
ALTER TABLE jobs ADD COLUMN priority SMALLINT NOT NULL DEFAULT 0;
DROP INDEX jobs_queue;
CREATE INDEX jobs_queue ON jobs (state, server_id, priority, id);
