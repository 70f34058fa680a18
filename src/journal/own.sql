INSERT INTO mine (stay, file, line) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING
