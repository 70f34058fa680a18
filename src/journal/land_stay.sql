UPDATE stay
SET pages = pages + 1, samples = samples + ?2, state = ?3, settled_at = ?4, reason = NULL, log_id = NULL
WHERE id = ?1
