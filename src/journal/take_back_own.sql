UPDATE stay INDEXED BY stay_queue SET suspect = 0
WHERE state = 0 AND suspect = 2 AND id IN (SELECT stay FROM mine)
