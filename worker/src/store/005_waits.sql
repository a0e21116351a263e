-- How often a job has let others pass because what it builds on had not come; `tries` counts passing failures alone.
ALTER TABLE inbox ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
