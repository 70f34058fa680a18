UPDATE stay SET intended = NULL WHERE rereads IS NOT NULL AND intended = ?1
