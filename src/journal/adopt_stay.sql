UPDATE stay SET (pages, samples, settled_at) = (SELECT pages, samples, settled_at FROM stay WHERE id = ?1) WHERE id = ?2
