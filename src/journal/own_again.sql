-- What an earlier manifest left: absent so far, or failed while its meeting is young.
INSERT INTO mine (stay)
SELECT id FROM stay WHERE state IN (4, 5) AND settled_at < ?1 AND (state = 5 OR meeting_end >= ?2) AND rereads IS NULL AND suspect = 0
ON CONFLICT DO NOTHING
