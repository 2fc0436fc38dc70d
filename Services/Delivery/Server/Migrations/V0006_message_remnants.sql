-- What is left of a message that retention has let go of: as much as it takes to stop writing to somebody by the link in it,
-- which has to work for as long as the mail lies in their mailbox. Gone with the person.
CREATE TABLE message_remnant (
    shard smallint NOT NULL,
    message_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    purpose text NOT NULL,
    address_hash bytea,
    PRIMARY KEY (shard, message_id)
);
CREATE INDEX message_remnant_profile ON message_remnant (profile_id);
