-- Requests that were asked once by key, and what was answered
CREATE TABLE request_key (
    name TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX request_key_by_age ON request_key (begun_at);
