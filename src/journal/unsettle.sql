-- What has been read to its end stays so.
UPDATE stay SET state = 0, settled_at = NULL, reason = NULL, log_id = NULL WHERE id = ?1 AND state > 1
