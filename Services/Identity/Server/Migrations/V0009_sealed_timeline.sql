-- Bodies are sealed, so what timelines are filtered by stands beside them. NULL of entries from before, and of facts that
-- no source sent.
ALTER TABLE profiles.timeline ADD COLUMN source_id uuid;
