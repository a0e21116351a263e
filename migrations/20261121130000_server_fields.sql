-- What an admin tells of a server besides where its sites answer. Empty: not told.
ALTER TABLE servers ADD COLUMN mail_hostname TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN bus_url TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN panel_url TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN phpmyadmin_path TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN roundcube_path TEXT NOT NULL DEFAULT '';
-- Where its worker's connection comes from, as the bus saw it.
ALTER TABLE servers ADD COLUMN peer TEXT NOT NULL DEFAULT '';
