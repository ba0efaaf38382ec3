-- What a run was made of and stands on: "who uses this?" is one query, whatever its specification holds.
CREATE TABLE run_input (
    run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    kind   TEXT NOT NULL CHECK (kind IN ('model', 'dataset', 'adapter', 'reward_model')),
    ord    INTEGER NOT NULL,
    -- id of a model, of a dataset, or of the run that made a checkpoint
    ref    TEXT NOT NULL,
    -- step of a checkpoint
    step   INTEGER,
    PRIMARY KEY (run_id, kind, ord)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_input_by_ref ON run_input (ref, kind);

INSERT INTO run_input (run_id, kind, ord, ref) SELECT id, 'model', 0, model_id FROM run;
INSERT INTO run_input (run_id, kind, ord, ref) SELECT id, 'dataset', 0, dataset_id FROM run WHERE dataset_id <> 'none';
INSERT INTO run_input (run_id, kind, ord, ref)
    SELECT run.id, 'dataset', one.key + 1, one.value ->> '$.id'
    FROM run, json_each(CASE WHEN json_valid(run.spec) THEN run.spec ELSE '{}' END, '$.more_datasets') AS one
    WHERE one.type = 'object' AND one.value ->> '$.id' IS NOT NULL;
INSERT INTO run_input (run_id, kind, ord, ref, step)
    SELECT run.id, 'adapter', one.key, one.value ->> '$.run', one.value ->> '$.step'
    FROM run, json_each(CASE WHEN json_valid(run.spec) THEN run.spec ELSE '{}' END, '$.adapters') AS one
    WHERE one.type = 'object' AND one.value ->> '$.run' IS NOT NULL;
INSERT INTO run_input (run_id, kind, ord, ref, step)
    SELECT id, 'reward_model', 0, spec ->> '$.reward_model.run', spec ->> '$.reward_model.step'
    FROM run WHERE json_valid(spec) AND spec ->> '$.reward_model.run' IS NOT NULL;

-- What was deleted waits here for a while and can be brought back; every list passes it over.
ALTER TABLE run ADD COLUMN deleted_ms INTEGER;
ALTER TABLE dataset ADD COLUMN deleted_ms INTEGER;
ALTER TABLE model ADD COLUMN deleted_ms INTEGER;

-- Keys by which clients may ask for a launch again and get the same run.
CREATE TABLE launch_key (
    key        TEXT PRIMARY KEY NOT NULL,
    run_id     TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    -- SHA-256 of what was asked for
    asked      TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
