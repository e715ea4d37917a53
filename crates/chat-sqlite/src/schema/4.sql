-- The room's modes, as the messages of kind 4 have set them; see `Modes` in chat-core. Empty if none is set.
ALTER TABLE rooms ADD COLUMN modes TEXT NOT NULL DEFAULT '';
