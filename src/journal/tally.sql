SELECT stay.state, mine.line IS NULL, count(*), sum(stay.pages), sum(stay.samples), sum(stay.state = 1 AND stay.samples = 0)
FROM mine JOIN stay ON stay.id = mine.stay
WHERE stay.rereads IS NULL
GROUP BY 1, 2
