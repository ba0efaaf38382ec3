-- What an adapter is that came in place of a model, JSON of `contract::adapter::AdapterFacts`; its files wait in the
-- model's folder to be put on a base.
ALTER TABLE model ADD COLUMN adapter TEXT;
