SELECT id, date, name, replaces, published, stays, samples, bytes FROM file ORDER BY date, id
