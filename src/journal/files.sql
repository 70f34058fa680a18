SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file ORDER BY date, id
