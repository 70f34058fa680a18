INSERT INTO incoming (key, meeting_end, file, line) VALUES (?1, ?2, ?3, ?4)
