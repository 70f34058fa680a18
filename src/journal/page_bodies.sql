SELECT number, zstd FROM page LEFT JOIN body ON body.id = page.body WHERE stay = ?1 ORDER BY number
