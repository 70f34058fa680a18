DELETE FROM slot WHERE free_ms <= ?1
