-- What is kept no longer is found by when it last happened.
CREATE INDEX interest_age ON interest (greatest(viewed_at, added_at, removed_at));
