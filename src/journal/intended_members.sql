-- A second reading that is to take the place of a first one stands for it, with its pages.
SELECT coalesce(second.id, stay.id), stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind,
       stay.meeting_end, coalesce(second.samples, stay.samples)
FROM stay LEFT JOIN stay AS second ON second.rereads = stay.id AND second.intended = ?2
WHERE stay.date = ?1 AND stay.state = 1 AND stay.intended = ?2
ORDER BY stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind
