-- A first reading without samples is in no file; its second one is to be.
UPDATE stay SET intended = ?2 WHERE id = (SELECT rereads FROM stay WHERE id = ?1)
