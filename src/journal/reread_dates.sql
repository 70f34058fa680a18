-- Dates all of whose second readings are settled.
SELECT first.date FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL
GROUP BY first.date
HAVING min(second.state) > 0
ORDER BY 1
