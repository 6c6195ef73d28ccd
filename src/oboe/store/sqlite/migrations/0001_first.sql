-- Release 0.1.0
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('audit', 0), ('dag', 0), ('log', 0), ('node', 0), ('sub_task', 0);
CREATE TABLE dag (
    id INTEGER PRIMARY KEY,
    dag_key TEXT NOT NULL,
    name TEXT NOT NULL,
    maintained INTEGER NOT NULL,
    node_base INTEGER NOT NULL,
    sub_task_base INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    facts TEXT NOT NULL
);
CREATE UNIQUE INDEX dag_by_key ON dag (dag_key);
CREATE INDEX dag_by_node ON dag (node_base);
CREATE INDEX dag_by_sub_task ON dag (sub_task_base);
CREATE INDEX dag_by_name ON dag (name, id);
CREATE INDEX dag_by_maintenance ON dag (maintained, id);
CREATE TABLE dag_state (
    dag_id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX dag_state_by_settled ON dag_state (settled, dag_id);
CREATE TABLE sub_task (
    dag_id INTEGER NOT NULL,
    sub_task INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (dag_id, sub_task)
) WITHOUT ROWID;
CREATE TABLE sub_task_log (
    id INTEGER PRIMARY KEY,
    dag_id INTEGER NOT NULL,
    sub_task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    logged_at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    code TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX sub_task_log_once ON sub_task_log (dag_id, sub_task, attempt, seq);
CREATE TABLE maintenance_lock (
    scope TEXT PRIMARY KEY,
    dag_key TEXT NOT NULL,
    kind INTEGER NOT NULL,
    dag_name TEXT NOT NULL,
    dag_id INTEGER NOT NULL,
    taken_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    done_at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    value_before TEXT NOT NULL,
    value_after TEXT NOT NULL
);
CREATE TABLE inbox (
    dag_key TEXT NOT NULL,
    sub_task INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    order_body TEXT,
    report_body TEXT,
    PRIMARY KEY (dag_key, sub_task, epoch, attempt)
) WITHOUT ROWID;
CREATE INDEX inbox_by_open ON inbox (is_open);
CREATE INDEX inbox_by_settled ON inbox (settled_at);
CREATE TABLE fact (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE member (ip TEXT NOT NULL, port INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (ip, port)) WITHOUT ROWID;
CREATE TABLE dag_copy (
    dag_id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    copied_at INTEGER NOT NULL,
    body TEXT NOT NULL
);
