INSERT INTO incoming (meeting_start, meeting_no, join_time, participant, kind, meeting_end, file, line)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
