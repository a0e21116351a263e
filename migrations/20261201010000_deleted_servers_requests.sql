-- What was asked of servers that have been deleted since: nobody will do it, and nobody can mend what failed there.
UPDATE jobs SET state = 'cancelled', detail = 'its server was deleted'
    WHERE state IN ('queued', 'sent', 'working', 'blocked') AND server_id NOT IN (SELECT id FROM servers);
UPDATE jobs SET state = 'superseded' WHERE state = 'failed' AND server_id NOT IN (SELECT id FROM servers);
UPDATE operations SET state = 'cancelled', finished_ms = COALESCE(finished_ms, created_ms)
    WHERE state IN ('waiting', 'working', 'failed') AND server_id NOT IN (SELECT id FROM servers);
