-- What the places in packed states mean: which segments and conditions, by the key that the states name. Whoever writes
-- states writes it along with them; it goes when no state can be of it any more.
CREATE TABLE state_layout (
    key bigint PRIMARY KEY,
    layout jsonb NOT NULL,
    -- The latest revision of the set with this layout.
    revision bigint NOT NULL
);

-- States of the form before are brought to this one for everybody, in the background.
UPDATE segment_set SET revision = revision + 1;
