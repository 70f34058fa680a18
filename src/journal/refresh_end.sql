-- A refresh has come to its end once none of its dates has second readings.
DELETE FROM refresh WHERE NOT EXISTS (
    SELECT 1 FROM stay AS second JOIN stay AS first ON first.id = second.rereads
    WHERE second.rereads IS NOT NULL AND first.date BETWEEN refresh.first AND refresh.last
)
