-- A second reading of every done stay from ?1 to ?2, but of no date that has some already.
INSERT INTO stay (meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
SELECT meeting_start, meeting_no, join_time, participant, kind, meeting_end, ?3, id
FROM stay
WHERE date BETWEEN ?1 AND ?2 AND state = 1 AND date NOT IN (
    SELECT first.date FROM stay AS second JOIN stay AS first ON first.id = second.rereads WHERE second.rereads IS NOT NULL
)
ORDER BY id
