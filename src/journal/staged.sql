SELECT key, meeting_end, file, line FROM incoming ORDER BY key, rowid
