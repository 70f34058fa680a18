DELETE FROM file WHERE date = ?1 AND id <> ?2 AND published = 1
