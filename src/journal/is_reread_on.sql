SELECT EXISTS (SELECT 1 FROM stay AS first JOIN stay AS second ON second.rereads = first.id WHERE first.date = ?1)
