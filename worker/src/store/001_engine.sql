-- What each resource was last made to look like.
CREATE TABLE ledger (
    resource TEXT NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('applied', 'parked')),
    spec TEXT NOT NULL,
    applied_generation BIGINT,
    applied_spec TEXT,
    updated_ms BIGINT NOT NULL
);

-- What is in flight: before-images until the commit point, finish steps after it.
CREATE TABLE journal (
    job TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('undo', 'finish')),
    seq BIGINT NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (job, phase, seq)
);

-- Outcomes of jobs that have ended and are not yet in the outbox.
CREATE TABLE settled (
    job TEXT NOT NULL PRIMARY KEY,
    attempt BIGINT NOT NULL,
    outcome TEXT NOT NULL
);
