SELECT id, state, lane, pages, meeting_end FROM stay
WHERE meeting_start = ?1 AND meeting_no = ?2 AND join_time = ?3 AND participant = ?4 AND kind = ?5 AND rereads IS NULL
