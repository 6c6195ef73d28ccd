-- What an agent remembers of the cluster's store having gone back
CREATE TABLE recall (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL);
INSERT INTO recall (id, epoch) VALUES (1, 0);
CREATE TABLE orphan (
    dag_key TEXT PRIMARY KEY,
    kept_at INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
