SELECT id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, samples
FROM stay
WHERE date = ?1 AND pages > 0
ORDER BY meeting_start, meeting_no, join_time, participant, kind
