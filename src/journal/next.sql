-- No LIMIT: SQLite would plan the query anew for each value of it. The reader takes as many rows as it needs.
SELECT stay.id, stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind, stay.meeting_end,
       coalesce(stay.date, (SELECT date FROM stay AS first WHERE first.id = stay.rereads)), stay.lane, stay.pages, stay.samples, stay.restarts,
       (SELECT next_token FROM page WHERE page.stay = stay.id AND page.number = stay.pages - 1),
       stay.suspect = 1, stay.settled_at IS NOT NULL
FROM stay
WHERE stay.state = 0 AND stay.suspect = 0
ORDER BY stay.lane, stay.id
