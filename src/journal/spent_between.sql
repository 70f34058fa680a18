SELECT coalesce(sum(requests), 0) FROM spent WHERE day BETWEEN ?1 AND ?2
