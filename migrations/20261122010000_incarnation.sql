-- Which incarnation of the panel this database holds: the one it knows the bus to hold or to have held last, and the one that is
-- to replace it. Until the bus has confirmed, it may hold either.
ALTER TABLE panel ADD COLUMN incarnation TEXT;
ALTER TABLE panel ADD COLUMN incarnation_next TEXT;
-- Since when this panel may not lead, because the bus serves another with a copy of its database.
ALTER TABLE panel ADD COLUMN stood_back_ms BIGINT;
-- Whether an operator has said that the bus is to serve this one from now on.
ALTER TABLE panel ADD COLUMN adopts SMALLINT NOT NULL DEFAULT 0;

-- The lineages of before, and how far each went.
CREATE TABLE panel_lineages (
    lineage TEXT PRIMARY KEY,
    number BIGINT NOT NULL
);
