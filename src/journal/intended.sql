UPDATE file SET name = ?2, stays = ?3, samples = ?4 WHERE id = ?1
