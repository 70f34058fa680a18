UPDATE stay SET state = ?2, settled_at = ?3, reason = ?4, log_id = ?5 WHERE id = ?1
