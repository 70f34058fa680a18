-- The manifest gives a stay that has no data another meeting end: it is asked for as if it were new.
UPDATE stay
SET meeting_end = ?2, state = 0, suspect = 0, pages = 0, samples = 0, restarts = 0, settled_at = NULL, reason = NULL, log_id = NULL
WHERE id = ?1
