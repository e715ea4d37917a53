-- Who said it, whatever the nick; NULL if that is not known.
ALTER TABLE messages ADD COLUMN account TEXT;
