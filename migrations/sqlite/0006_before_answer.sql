-- What a model answered before it was trained: made once for a run, JSON of `contract::system::BeforeAnswer`.
CREATE TABLE before_answer (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    answer TEXT NOT NULL
) STRICT;
