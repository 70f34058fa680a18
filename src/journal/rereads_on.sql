SELECT second.id, first.id FROM stay AS first JOIN stay AS second ON second.rereads = first.id WHERE first.date = ?1
