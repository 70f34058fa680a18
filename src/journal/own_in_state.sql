SELECT stay.id, stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind, stay.meeting_end,
       mine.file, mine.line, stay.reason, stay.log_id
FROM mine JOIN stay ON stay.id = mine.stay
WHERE stay.state = ?1 AND stay.rereads IS NULL
ORDER BY stay.id
