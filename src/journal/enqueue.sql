INSERT INTO stay (meeting_start, meeting_no, join_time, participant, kind, meeting_end, date, lane)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (meeting_start, meeting_no, join_time, participant, kind) WHERE rereads IS NULL DO NOTHING
