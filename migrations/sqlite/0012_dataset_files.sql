-- The files a dataset was made of as they came, a JSON list of names, sizes, rows and digests; empty: not known.
ALTER TABLE dataset ADD COLUMN files TEXT NOT NULL DEFAULT '[]';
