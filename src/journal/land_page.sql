INSERT INTO page (stay, number, samples, next_token, digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
