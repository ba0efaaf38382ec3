-- An edit makes a new version: a row of its own that shares the family (the first version's id).
ALTER TABLE dataset ADD COLUMN family TEXT NOT NULL DEFAULT '';
ALTER TABLE dataset ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dataset ADD COLUMN change TEXT;
UPDATE dataset SET family = id;
CREATE UNIQUE INDEX dataset_by_family ON dataset (family, version);
