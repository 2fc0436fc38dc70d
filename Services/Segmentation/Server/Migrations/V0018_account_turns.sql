-- Since when an account waits for its turn: one that changes all the time goes behind the others after each.
ALTER TABLE account_change ADD COLUMN since timestamptz NOT NULL DEFAULT clock_timestamp();
