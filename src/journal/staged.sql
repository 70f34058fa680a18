SELECT meeting_start, meeting_no, join_time, participant, kind, meeting_end, file, line
FROM incoming
ORDER BY meeting_start, meeting_no, join_time, participant, kind, file, line
