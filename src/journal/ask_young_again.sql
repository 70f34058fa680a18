UPDATE stay SET state = 0 WHERE state = 5 AND settled_at < ?1
