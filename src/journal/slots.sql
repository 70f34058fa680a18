SELECT id, sent_ms, free_ms FROM slot ORDER BY id
