SELECT EXISTS (
    SELECT 1 FROM stay INDEXED BY stay_unpublished
    WHERE date = ?1 AND state = 1 AND samples > 0 AND file IS NULL AND id IN (SELECT stay FROM mine)
)
