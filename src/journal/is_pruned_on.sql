-- No page at all, but samples: taken over from a published file.
SELECT EXISTS (
    SELECT 1 FROM stay
    WHERE date = ?1 AND state = 1 AND (
        pages = 0 AND samples > 0 OR EXISTS (SELECT 1 FROM page WHERE page.stay = stay.id AND page.body IS NULL)
    )
)
