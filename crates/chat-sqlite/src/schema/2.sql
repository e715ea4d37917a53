-- Up to where a room's log is found by searches through `found`; what follows is looked through message by message.
ALTER TABLE rooms ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET indexed = tail;

-- What was said under a key lately is looked for when a room is opened.
CREATE INDEX keyed ON messages (id >> 40, at) WHERE key IS NOT NULL;
