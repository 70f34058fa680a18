DELETE FROM stay WHERE id = ?1 AND id < (SELECT max(id) FROM stay)
