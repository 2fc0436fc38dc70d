-- The version of the consent policy that all rules have been brought to; NULL before the first.
ALTER TABLE segment_set ADD COLUMN policy_version bigint;
