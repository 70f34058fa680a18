INSERT INTO parked (stay, number, samples, next_token, digest, body, file, line)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
