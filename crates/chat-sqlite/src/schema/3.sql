-- Who said it, whatever the nick; NULL if that is not known.
ALTER TABLE messages ADD COLUMN account TEXT;
-- Who set the room's topic, and when; NULL if that is not known.
ALTER TABLE rooms ADD COLUMN topic_by TEXT;
ALTER TABLE rooms ADD COLUMN topic_at INTEGER;
