-- What identity tells of somebody who has used a device that others use as well, sealed: which of their names are not theirs
-- alone, and which events are.
ALTER TABLE erasure_subject ADD COLUMN details text;
