-- The position up to which a room's log is in the search index `found`. Later messages are searched one by one.
ALTER TABLE rooms ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET indexed = tail;

-- When a room is opened, its recent messages with a key are read.
CREATE INDEX keyed ON messages (id >> 40, at) WHERE key IS NOT NULL;
