UPDATE stay SET intended = ?2 WHERE id = ?1
