-- The first date after ?1 that has second readings of this process, all second readings of the date being settled.
SELECT first.date FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL AND first.date > ?1
GROUP BY first.date
HAVING min(second.state) > 0 AND max(second.id IN (SELECT stay FROM mine))
ORDER BY 1
LIMIT 1
