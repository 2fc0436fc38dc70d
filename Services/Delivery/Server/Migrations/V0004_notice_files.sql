-- Notices that were written as files, so that an erasure finds them: they are of no message. The hash is the keyed one of
-- the address.
CREATE TABLE notice_file (
    shard smallint NOT NULL,
    address_hash bytea NOT NULL,
    message_id uuid NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (shard, address_hash, message_id)
);
