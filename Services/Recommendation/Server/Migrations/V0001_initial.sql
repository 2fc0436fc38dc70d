-- The shard is that of the sku.
CREATE TABLE catalog_item (
    shard smallint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    name text NOT NULL,
    price numeric,
    currency text,
    url text,
    image_url text,
    categories text[] NOT NULL,
    in_stock boolean NOT NULL,
    discontinued boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (shard, sku)
);
CREATE INDEX catalog_item_sku ON catalog_item (sku);

-- One row per order and profile it arrived under. One row with its lines inside, rather than a row per line: an
-- order of 500 lines is one insert, and a late event or a refund rewrites it as a whole.
CREATE TABLE shop_order (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    order_key text NOT NULL,
    -- The canonical profile, so that customers are counted as people.
    customer_id uuid NOT NULL,
    -- NULL until the order itself is known, when its refund came first.
    placed_at timestamptz,
    -- What was kept of it: the basket as the models see it.
    skus text[] COLLATE "C" NOT NULL,
    detail jsonb NOT NULL,
    PRIMARY KEY (shard, profile_id, order_key)
);
CREATE INDEX shop_order_skus ON shop_order USING gin (skus);
CREATE INDEX shop_order_placed ON shop_order (placed_at);

CREATE TABLE interest (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    sku text NOT NULL,
    viewed_at timestamptz,
    added_at timestamptz,
    removed_at timestamptz,
    PRIMARY KEY (shard, profile_id, sku)
);

-- In how many orders each sku is; the shard is that of the sku.
CREATE TABLE sku_orders (
    shard smallint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    PRIMARY KEY (shard, sku)
);

-- How many orders there are with anything kept, by the shard of the order.
CREATE TABLE order_count (
    shard smallint PRIMARY KEY,
    orders bigint NOT NULL
);

-- Counts made on demand and kept while they are fresh; to be thrown away at any time.
CREATE TABLE neighbour_model (
    shard smallint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    computed_at timestamptz NOT NULL,
    orders bigint NOT NULL,
    neighbours jsonb NOT NULL,
    PRIMARY KEY (shard, sku)
);

CREATE TABLE popular_model (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    computed_at timestamptz NOT NULL,
    orders bigint NOT NULL,
    skus jsonb NOT NULL
);
