-- Models of percentiles are made as those of recency, frequency and monetary value are, and stand beside them: `orders` is
-- what they measure, and they have no named segments.
ALTER TABLE rfm_model ADD COLUMN kind text NOT NULL DEFAULT 'rfm' CHECK (kind IN ('rfm', 'percentile'));
ALTER TABLE rfm_model DROP CONSTRAINT rfm_model_name_number_key;
ALTER TABLE rfm_model ADD UNIQUE (kind, name, number);
