-- Resources that are not as applied, as last reported; the last look; include files that are set aside, and what of them nginx
-- has read.
CREATE TABLE drift (
    resource TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    differences TEXT NOT NULL,
    since_ms INTEGER NOT NULL
);
CREATE TABLE looks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    look TEXT NOT NULL
);
CREATE TABLE set_aside (
    path TEXT NOT NULL PRIMARY KEY,
    said TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE includes_read (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    digest TEXT NOT NULL
);
