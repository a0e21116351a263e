-- The roles of a server that did not work when its update was begun: those that stop working after it are held against it. NULL: it was
-- not begun, or before this was kept.
ALTER TABLE rollout_servers ADD COLUMN ailing TEXT;
