UPDATE stay SET state = 3, reason = 'dropped from the queue', log_id = NULL WHERE id = ?1
