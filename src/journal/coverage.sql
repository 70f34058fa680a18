SELECT date, state, count(*), sum(state = 1 AND samples > 0 AND file IS NULL)
FROM stay GROUP BY date, state ORDER BY date, state
