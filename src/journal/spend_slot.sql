INSERT INTO slot (sent_ms, free_ms) VALUES (?1, ?2)
