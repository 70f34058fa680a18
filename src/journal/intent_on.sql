SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file WHERE date = ?1 AND published = 0
