-- Records that callers bring to a matching job. What is personal of them lies sealed, and only for as long as it is needed.

CREATE TABLE matching_record (
    -- That of the identifier that the record's id is, so that both lie together; 0 where it is none.
    shard smallint NOT NULL,
    job_id uuid NOT NULL,
    -- The place in the call, from 1.
    row_number integer NOT NULL,
    -- The identifier, as profiles.identifier knows it; NULL where the id was not to be read, and of somebody erased.
    type text COLLATE "C",
    hash bytea,
    -- The id, sealed.
    name text,
    -- The traits, sealed; NULL once nobody needs them any more.
    body text,
    -- The beginnings of the keyed hashes of all identifiers in it, to find it by when somebody is erased.
    marks bigint[] NOT NULL DEFAULT '{}',
    -- Why it was refused, and where in it; no values.
    reason text,
    path text,
    PRIMARY KEY (shard, job_id, row_number)
);
CREATE INDEX matching_record_job ON matching_record (job_id, row_number);
CREATE INDEX matching_record_hash ON matching_record (hash) WHERE hash IS NOT NULL;
CREATE INDEX matching_record_marks ON matching_record USING gin (marks);

-- Either side of a proposal is a profile or a record. Of a record the identifier stays, so that what was decided of it
-- holds for later jobs, and for the profile that it becomes; its id is sealed.
ALTER TABLE matching_proposal
    ALTER COLUMN left_id DROP NOT NULL,
    ALTER COLUMN right_id DROP NOT NULL,
    ADD COLUMN left_shard smallint,
    ADD COLUMN left_type text COLLATE "C",
    ADD COLUMN left_hash bytea,
    ADD COLUMN left_name text,
    ADD COLUMN right_shard smallint,
    ADD COLUMN right_type text COLLATE "C",
    ADD COLUMN right_hash bytea,
    ADD COLUMN right_name text,
    ADD CHECK ((left_id IS NULL) <> (left_hash IS NULL)),
    ADD CHECK ((right_id IS NULL) <> (right_hash IS NULL));
CREATE INDEX matching_proposal_left_record ON matching_proposal (left_hash) WHERE left_hash IS NOT NULL;
CREATE INDEX matching_proposal_right_record ON matching_proposal (right_hash) WHERE right_hash IS NOT NULL;

ALTER TABLE matching_job
    ADD COLUMN records bigint NOT NULL DEFAULT 0,
    ADD COLUMN refused_records bigint NOT NULL DEFAULT 0,
    -- Those that were somebody's before.
    ADD COLUMN known_records bigint NOT NULL DEFAULT 0,
    ADD COLUMN linked bigint NOT NULL DEFAULT 0;
