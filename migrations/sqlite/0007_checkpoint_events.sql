-- The saves of a run, and its eval loss before training, are found without reading its other events.
CREATE INDEX run_event_saves ON run_event (run_id, ord)
    WHERE json ->> '$.what.kind' = 'checkpoint'
       OR (json ->> '$.what.kind' = 'eval' AND json ->> '$.what.step' = 0);
