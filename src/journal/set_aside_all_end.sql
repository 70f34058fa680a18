-- The last of the next so many stays from ?1 on.
SELECT max(id) FROM (SELECT id FROM stay WHERE id >= ?1 ORDER BY id LIMIT ?2)
