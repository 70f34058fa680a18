INSERT INTO body (zstd) VALUES (?1)
