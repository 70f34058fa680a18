SELECT DISTINCT stay.date FROM mine JOIN stay ON stay.id = mine.stay
WHERE stay.state = 1 AND stay.samples > 0 AND stay.file IS NULL AND stay.rereads IS NULL
ORDER BY 1
