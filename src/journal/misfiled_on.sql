-- Done stays said to be in a file that is not published, or not of their date.
SELECT count(*) FROM stay
WHERE date = ?1 AND state = 1 AND file IS NOT NULL AND file NOT IN (SELECT id FROM file WHERE date = ?1 AND published = 1)
