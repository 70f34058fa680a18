SELECT count(*) FROM mine
