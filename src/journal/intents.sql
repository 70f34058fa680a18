SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file WHERE published = 0 ORDER BY date, id
