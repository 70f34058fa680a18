-- The last of the next so many of this process's stays from ?1 on.
SELECT max(stay) FROM (SELECT stay FROM mine WHERE stay >= ?1 ORDER BY stay LIMIT ?2)
