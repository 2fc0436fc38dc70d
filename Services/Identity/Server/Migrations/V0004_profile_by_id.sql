-- Whoever has an identifier has the id of a profile and not its shard, and looks it up without a second question.
CREATE INDEX profile_id ON profiles.profile (profile_id) INCLUDE (canonical_id);
