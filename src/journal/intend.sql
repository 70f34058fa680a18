INSERT INTO file (date, name, replaces, stays, samples) VALUES (?1, '', ?2, 0, 0)
