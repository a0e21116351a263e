-- A person's own page of the audit log reads what they did and what was done to their sign-in.
CREATE INDEX audit_user ON audit (user_id, id);
CREATE INDEX audit_subject ON audit (subject, id);
