-- The author's account; NULL if the author had none, or if it is unknown.
ALTER TABLE messages ADD COLUMN account TEXT;
-- The nick of the session that set the room's topic, and when; NULL if unknown.
ALTER TABLE rooms ADD COLUMN topic_by TEXT;
ALTER TABLE rooms ADD COLUMN topic_at INTEGER;
