-- When the panel was told what this database holds. Without a row it has not been told.
CREATE TABLE resync_told (
    at_ms INTEGER NOT NULL
);
