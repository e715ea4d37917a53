-- Counters of the file's history, in one row.
CREATE TABLE progress (
    generation INTEGER NOT NULL,
    appended INTEGER NOT NULL,
    rooms INTEGER NOT NULL,
    -- What the epochs of rooms are made of that nothing has been said in.
    seed INTEGER NOT NULL
);
INSERT INTO progress VALUES (0, 0, 0, random());

-- `tail` is the position of a log's last message, `floor` the position up to which messages have expired.
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    tail INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    topic TEXT NOT NULL
);

-- `id` holds the room's id in the upper bits and the position in the lower 40, so that a log is stored together.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    -- Which of its server's sessions said it, and in which of the file's openings.
    session INTEGER NOT NULL,
    life INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    text TEXT NOT NULL,
    key TEXT
);

-- The search index: words as unicode61 finds them, and pairs of Chinese, Japanese and Korean characters; see index.rs.
CREATE VIRTUAL TABLE found USING fts5 (
    words, pairs,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2'
);
