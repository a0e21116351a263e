-- Why an account's server was chosen, on the operation that makes the account; empty where there was no choice.
ALTER TABLE operations ADD COLUMN placed TEXT NOT NULL DEFAULT '';
