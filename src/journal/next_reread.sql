SELECT second.id, first.id, first.meeting_start, first.meeting_no, first.join_time, first.participant, first.kind,
       first.meeting_end, second.state, first.samples, second.samples, second.reason, second.log_id, first.file
FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads > ?2 AND first.date = ?1
ORDER BY second.rereads
LIMIT 1
