-- How earlier tries of waiting jobs ended, each in passing: told with their outcomes.
CREATE TABLE tries (
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (job, attempt, number)
) STRICT;
