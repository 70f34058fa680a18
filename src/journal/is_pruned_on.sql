SELECT EXISTS (
    SELECT 1 FROM stay
    WHERE date = ?1 AND state = 1 AND EXISTS (SELECT 1 FROM page WHERE page.stay = stay.id AND page.body IS NULL)
)
