-- What has been read to its end, and has samples, stays so.
UPDATE stay
SET state = 0, suspect = 1, settled_at = NULL, reason = NULL, log_id = NULL,
    pages = CASE WHEN state = 1 THEN 0 ELSE pages END
WHERE id = ?1 AND (state != 1 OR samples = 0)
