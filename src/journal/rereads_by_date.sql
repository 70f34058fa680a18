SELECT first.date, count(*) FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL
GROUP BY first.date
