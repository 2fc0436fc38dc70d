-- What a service found of somebody is reported in parts where it is much.
CREATE TABLE privacy_result_part (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    service text NOT NULL,
    part integer NOT NULL,
    -- The member of the report that the items belong to; in the order of the parts they are its list.
    member text NOT NULL,
    -- Sealed.
    items text NOT NULL,
    PRIMARY KEY (shard, request_id, service, part)
);
