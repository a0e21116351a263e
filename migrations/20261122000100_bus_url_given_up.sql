-- Where workers find the bus unless their server was told another address: dispatch knows, and pages say it.
ALTER TABLE panel ADD COLUMN bus_url TEXT NOT NULL DEFAULT '';
-- Whether a server that was deleted was given up with jobs for its accounts: they lie on the bus until dispatch has ended all of it.
ALTER TABLE ended_servers ADD COLUMN given_up SMALLINT NOT NULL DEFAULT 0;
