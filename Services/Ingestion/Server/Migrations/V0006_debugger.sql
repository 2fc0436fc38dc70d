-- The live debugger. Who watches a source just now: while there is a row that has not run out, every instance publishes
-- what it holds and takes in. Both tables may be lost in a crash: watchers come again.
CREATE UNLOGGED TABLE debugger_watch (
    watch_id uuid PRIMARY KEY,
    source_id uuid NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX debugger_watch_source ON debugger_watch (source_id, until);

-- Of its own and not an identity: that of an unlogged table would begin again after a crash, and watchers go on from it.
CREATE SEQUENCE recent_item_id;

CREATE UNLOGGED TABLE recent_item (
    source_id uuid NOT NULL,
    recent_id bigint NOT NULL DEFAULT nextval('recent_item_id'),
    -- The memory that the item was held in, and its number there: without a gap, so that what is missing can be counted.
    ring bigint NOT NULL,
    number bigint NOT NULL,
    -- Items of the ring before it that came while the source was watched, where no row before it shows how many.
    missed bigint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    verdict text NOT NULL,
    event text,
    body text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, recent_id),
    UNIQUE (source_id, ring, number)
);
CREATE INDEX recent_item_published ON recent_item (published_at);

-- How often somebody was erased. What was held in memory before the last time is published no more.
CREATE TABLE recent_erasure (
    is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    erasures bigint NOT NULL
);
INSERT INTO recent_erasure (erasures) VALUES (0);
