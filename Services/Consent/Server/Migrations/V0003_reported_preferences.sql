-- What each device of a profile has said of a purpose last. The device is a keyed hash of its name.
CREATE TABLE reported_preference (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    device text COLLATE "C" NOT NULL,
    purpose text NOT NULL,
    action text NOT NULL CHECK (action IN ('grant', 'withdraw')),
    -- When it said so last, to the hour where nothing changed.
    at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id, device, purpose)
);
