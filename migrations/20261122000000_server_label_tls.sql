-- What people call a server; empty: by its name. And where the certificates of its panel and mail names are to come from.
ALTER TABLE servers ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN panel_tls TEXT NOT NULL DEFAULT 'selfsigned';
ALTER TABLE servers ADD COLUMN mail_tls TEXT NOT NULL DEFAULT 'selfsigned';
-- An address that was not told is the hostname, as that is now, and not as it was when the form was saved.
UPDATE servers SET address = '' WHERE address = hostname;
