-- Whether the job was let go: committed before it is published, so from then on its server may carry it out, whatever is heard of it.
ALTER TABLE jobs ADD COLUMN released SMALLINT NOT NULL DEFAULT 0;
UPDATE jobs SET released = 1 WHERE state <> 'queued' OR sent_ms IS NOT NULL OR attempt > 1;

-- The newest generation that is wanted. Below `generation`, which numbers are never used twice, where newer ones were taken back.
ALTER TABLE accounts ADD COLUMN wanted_generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE php_pools ADD COLUMN wanted_generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sites ADD COLUMN wanted_generation BIGINT NOT NULL DEFAULT 1;
UPDATE accounts SET wanted_generation = COALESCE(
    (SELECT MAX(generation) FROM jobs WHERE resource = 'account:' || accounts.id AND state <> 'cancelled'), accounts.generation);
UPDATE php_pools SET wanted_generation = COALESCE(
    (SELECT MAX(generation) FROM jobs WHERE resource = 'php_pool:' || php_pools.id AND state <> 'cancelled'), php_pools.generation);
UPDATE sites SET wanted_generation = COALESCE(
    (SELECT MAX(generation) FROM jobs WHERE resource = 'site:' || sites.id AND state <> 'cancelled'), sites.generation);
