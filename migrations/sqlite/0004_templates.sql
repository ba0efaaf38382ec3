-- Prompt templates that people wrote; runs carry theirs in their specification.
CREATE TABLE template (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL UNIQUE,
    body        TEXT NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;
-- What is worth knowing about a dataset beside its rows: digests that match or not, columns left out.
ALTER TABLE dataset ADD COLUMN findings TEXT NOT NULL DEFAULT '[]';
