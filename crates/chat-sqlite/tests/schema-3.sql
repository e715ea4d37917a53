-- A file as the first version with schema 3 left it: two messages in one room.
PRAGMA application_id = 1667785076;
PRAGMA user_version = 3;
CREATE TABLE progress (generation INTEGER NOT NULL, appended INTEGER NOT NULL, rooms INTEGER NOT NULL, seed INTEGER NOT NULL);
INSERT INTO progress VALUES (3, 2, 1, 42);
CREATE TABLE rooms (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, epoch INTEGER NOT NULL, tail INTEGER NOT NULL, floor INTEGER NOT NULL, kept INTEGER NOT NULL, topic TEXT NOT NULL, indexed INTEGER NOT NULL DEFAULT 0, topic_by TEXT, topic_at INTEGER);
INSERT INTO rooms VALUES (1, 'ops', 'ops', 12345, 2, 0, 2, 'on call: kim', 2, 'alice', 1795457391859);
CREATE TABLE messages (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL, session INTEGER NOT NULL, life INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL, key TEXT, account TEXT);
CREATE INDEX keyed ON messages (id >> 40, at) WHERE key IS NOT NULL;
INSERT INTO messages VALUES ((1 << 40) | 1, 1795457391860, 'alice', 7, 3, 0, '안녕', NULL, NULL);
INSERT INTO messages VALUES ((1 << 40) | 2, 1795457391861, 'alice', 7, 3, 0, '결제 is down', 'k1', NULL);
CREATE VIRTUAL TABLE found USING fts5 (words, pairs, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO found (rowid, words, pairs) VALUES ((1 << 40) | 1, '', '안녕 녕 ');
INSERT INTO found (rowid, words, pairs) VALUES ((1 << 40) | 2, 'is down ', '결제 제 ');
