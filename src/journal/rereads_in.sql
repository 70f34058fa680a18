SELECT id, rereads FROM stay WHERE rereads IS NOT NULL AND intended = ?1
