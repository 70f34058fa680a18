SELECT stay.state, mine.line IS NULL, count(*), sum(stay.pages), sum(stay.samples)
FROM mine JOIN stay ON stay.id = mine.stay
WHERE stay.rereads IS NULL
GROUP BY 1, 2
