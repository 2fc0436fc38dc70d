-- One row: when a batch of history was last read in, by the clock of the database, whichever instance it was.
CREATE TABLE history_watch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_at timestamptz NOT NULL
);
