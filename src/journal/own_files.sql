SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file
WHERE published = 1 AND id IN (SELECT stay.file FROM mine JOIN stay ON stay.id = mine.stay)
ORDER BY date, id
