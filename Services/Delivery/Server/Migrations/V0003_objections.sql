-- What people said by the link in a mail, in force with its answer: consent hears of it a little later, and it holds at
-- every address of the person. What was said last counts, here or there. The shard is the profile's.
CREATE TABLE objection (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    purpose text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id, purpose)
);
