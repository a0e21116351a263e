-- Since when a server's worker is shut out by an admin, until one joins again; and whether the bus knows.
ALTER TABLE servers ADD COLUMN shut_out_ms BIGINT;
ALTER TABLE servers ADD COLUMN shut_out_told SMALLINT NOT NULL DEFAULT 0;
