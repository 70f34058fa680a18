-- A second reading of every done stay of the dates that the refresh ?1..?2 has not begun with.
INSERT INTO stay (id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
SELECT -id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, ?3, id
FROM stay AS first
WHERE date BETWEEN ?1 AND ?2 AND state = 1
    AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)
    AND NOT EXISTS (SELECT 1 FROM stay AS second WHERE second.rereads = first.id)
ORDER BY id
