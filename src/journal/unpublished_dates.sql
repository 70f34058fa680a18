SELECT DISTINCT date FROM stay INDEXED BY stay_unpublished WHERE state = 1 AND samples > 0 AND file IS NULL AND date IS NOT NULL ORDER BY 1
