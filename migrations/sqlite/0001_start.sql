-- Times are milliseconds since 1970; ids are UUID v7 in text form; JSON columns hold types of `contract`.
CREATE TABLE dataset (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    file_name   TEXT NOT NULL,
    file        TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    inspection  TEXT NOT NULL
) STRICT;
CREATE INDEX dataset_by_sha256 ON dataset (sha256);

CREATE TABLE model (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('importing', 'ready', 'failed')),
    problem     TEXT,
    facts       TEXT,
    created_ms  INTEGER NOT NULL,
    starter     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE run (
    id           TEXT PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL,
    stage        TEXT NOT NULL,
    tuning       TEXT NOT NULL,
    model_id     TEXT NOT NULL,
    model_name   TEXT NOT NULL,
    dataset_id   TEXT NOT NULL,
    dataset_name TEXT NOT NULL,
    spec         TEXT NOT NULL,
    suggestion   TEXT,
    tour         INTEGER NOT NULL DEFAULT 0,
    attempt      INTEGER NOT NULL DEFAULT 0,
    step         INTEGER NOT NULL DEFAULT 0,
    total_steps  INTEGER NOT NULL DEFAULT 0,
    remaining_s  REAL,
    loss         REAL,
    eval_loss    REAL,
    problem      TEXT,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    queued_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX run_by_state ON run (state, queued_ms);

CREATE TABLE attempt (
    run_id      TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    pid         INTEGER,
    start_ticks INTEGER,
    started_ms  INTEGER NOT NULL,
    ended_ms    INTEGER,
    PRIMARY KEY (run_id, number)
) STRICT;
CREATE INDEX attempt_not_ended ON attempt (run_id) WHERE ended_ms IS NULL;

CREATE TABLE run_event (
    run_id  TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    ord     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    json    TEXT NOT NULL,
    PRIMARY KEY (run_id, ord),
    UNIQUE (run_id, attempt, seq)
) STRICT, WITHOUT ROWID;
