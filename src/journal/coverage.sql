-- Two counts, each from an index alone: stays are many, and those in no file are few.
SELECT date, state, stays, coalesce(unpublished, 0)
FROM (SELECT date, state, count(*) AS stays FROM stay WHERE date IS NOT NULL GROUP BY date, state)
LEFT JOIN (
    SELECT date, 1 AS state, count(*) AS unpublished FROM stay
    WHERE state = 1 AND samples > 0 AND file IS NULL
    GROUP BY date
) USING (date, state)
ORDER BY date, state
