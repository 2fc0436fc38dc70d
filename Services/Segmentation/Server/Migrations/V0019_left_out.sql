-- How many people were not compared by an edition, because their state does not read.
ALTER TABLE rfm_model ADD COLUMN left_out bigint NOT NULL DEFAULT 0;
