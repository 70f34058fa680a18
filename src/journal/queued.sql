SELECT lane, count(*) FROM stay WHERE state = 0 GROUP BY lane
