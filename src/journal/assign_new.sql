UPDATE stay INDEXED BY stay_unpublished SET intended = ?2 WHERE date = ?1 AND state = 1 AND samples > 0 AND file IS NULL
