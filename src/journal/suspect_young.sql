-- This process's stays that are absent so far: only a manifest that names them has them asked for again.
UPDATE stay SET suspect = 1 WHERE state = 5 AND id IN (SELECT stay FROM mine)
