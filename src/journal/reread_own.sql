INSERT INTO mine (stay)
SELECT id FROM stay WHERE date BETWEEN ?1 AND ?2 AND state = 0
UNION ALL
SELECT second.id FROM stay AS first JOIN stay AS second ON second.rereads = first.id WHERE first.date BETWEEN ?1 AND ?2
ON CONFLICT DO NOTHING
