SELECT count(*) FROM stay AS first JOIN stay AS second ON second.rereads = first.id WHERE first.date BETWEEN ?1 AND ?2
