INSERT INTO mine (stay) SELECT id FROM stay WHERE state = 5 AND settled_at < ?1 ON CONFLICT DO NOTHING
