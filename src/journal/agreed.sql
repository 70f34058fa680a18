SELECT agreed FROM imported WHERE stay = ?1
