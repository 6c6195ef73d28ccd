"""Every statement on dags, one per name, in the words of MySQL; SQLite's adapter translates the few it does not know.

``?`` is a parameter. ``{keys}`` is a list of them: see `oboe.store.database.listed`. ``FOR UPDATE`` means nothing to SQLite, where a
home has one writer. Statements that are run for many rows end in one ``VALUES (…)`` group, which the MySQL driver repeats within
one statement; those that may meet a row say what to do with it (`REPLACE` would cost seekdb twice as much). Joins
carry a hint, a comment to the others: with statistics from before a table grew, OceanBase's kernel scans the whole of it.
"""

from __future__ import annotations

# Numbers: never given twice, so never taken from what is stored.
LOCK_COUNTERS = "SELECT name, value FROM counter WHERE name IN ({keys}) ORDER BY name FOR UPDATE"
SET_COUNTER = "INSERT INTO counter (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)"
ADD_TO_COUNTERS = "UPDATE counter SET value = value + ? WHERE name <> 'regress'"
REGRESS = "SELECT value, 0 FROM counter WHERE name = 'regress' UNION ALL SELECT 0, taken_at FROM maintenance_lock WHERE scope = 'RECALL'"

# Making
INSERT_DAG = (
    "INSERT INTO dag (id, dag_key, name, maintained, node_base, sub_task_base, size, created_at, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PUT_STATE = (
    "INSERT INTO dag_state (dag_id, version, state, settled, body) VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
    "version = VALUES(version), state = VALUES(state), settled = VALUES(settled), body = VALUES(body)"
)
CHANGE_STATE = "UPDATE dag_state SET version = ?, state = ?, settled = ?, body = ? WHERE dag_id = ? AND version = ?"
PUT_SUB_TASK = "INSERT INTO sub_task (dag_id, sub_task, body) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE body = VALUES(body)"
INSERT_LINE = (
    "INSERT IGNORE INTO sub_task_log (id, dag_id, sub_task, attempt, seq, logged_at, level, code, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# Guarding: the versions as they are, held until the commit; a change that comes alone is guarded by its own statement
GUARD = "SELECT dag_id, version FROM dag_state WHERE dag_id IN ({keys}) ORDER BY dag_id FOR UPDATE"

# Maintenance locks
LOCKS = "SELECT scope, dag_key, kind, dag_name, dag_id, taken_at FROM maintenance_lock ORDER BY scope FOR UPDATE"
HELD_LOCKS = "SELECT scope, dag_key, kind, dag_name, dag_id, taken_at FROM maintenance_lock ORDER BY scope"
TAKE_LOCK = "INSERT INTO maintenance_lock (scope, dag_key, kind, dag_name, dag_id, taken_at) VALUES (?, ?, ?, ?, ?, ?)"
RELEASE_LOCKS = "DELETE FROM maintenance_lock WHERE dag_key IN ({keys})"
PUT_LOCK = f"{TAKE_LOCK} ON DUPLICATE KEY UPDATE taken_at = VALUES(taken_at)"
DROP_LOCK = "DELETE FROM maintenance_lock WHERE scope = ?"
HAS_LOCK = "SELECT COUNT(*) FROM maintenance_lock WHERE scope = ?"

# Reading: facts do not change, so they may be read before state and sub-tasks, which are one statement and so one moment
FACTS = "SELECT dag_key, id, node_base, sub_task_base, facts FROM dag WHERE id IN ({keys}) ORDER BY id"
BODIES = (
    "SELECT dag_id, -1 AS place, version, body FROM dag_state WHERE dag_id IN ({keys}) "
    "UNION ALL SELECT dag_id, sub_task, 0, body FROM sub_task WHERE dag_id IN ({keys})"
)
ID_OF_KEY = "SELECT id FROM dag WHERE dag_key = ?"
IDS_OF_KEYS = "SELECT id FROM dag WHERE dag_key IN ({keys})"
OWNER_OF_DAG = "SELECT id, id, 1 FROM dag WHERE id = ?"
OWNER_OF_NODE = "SELECT id, node_base, 0 FROM dag WHERE node_base <= ? ORDER BY node_base DESC, id DESC LIMIT 1"
OWNER_OF_SUB_TASK = "SELECT id, sub_task_base, size FROM dag WHERE sub_task_base <= ? ORDER BY sub_task_base DESC, id DESC LIMIT 1"
VERSIONS = (
    "SELECT /*+ LEADING(d s) USE_NL(s) INDEX(s PRIMARY) */ d.dag_key, s.version "
    "FROM dag d JOIN dag_state s ON s.dag_id = d.id WHERE d.dag_key IN ({keys})"
)
UNSETTLED = "SELECT dag_id FROM dag_state WHERE settled = 0 ORDER BY dag_id"
NEWEST_MAINTENANCE = "SELECT id FROM dag WHERE maintained = 1 ORDER BY id DESC LIMIT 1"
_EDITION = (
    "SELECT /*+ LEADING(d s) USE_NL(s) INDEX(s PRIMARY) INDEX(d {index}) */ d.id, d.dag_key, s.version, "
    "(SELECT value FROM counter WHERE name = 'log'), (SELECT value FROM counter WHERE name = 'regress') "
    "FROM dag d JOIN dag_state s ON s.dag_id = d.id WHERE"
)
EDITION = f"{_EDITION} d.id = ?".replace("{index}", "PRIMARY")
NEWEST_MAINTENANCE_EDITION = f"{_EDITION} d.maintained = 1 ORDER BY d.id DESC LIMIT 1".replace("{index}", "dag_by_maintenance")
# The plus keeps a planner from walking all lines of all dags by id.
_LINES = "SELECT id, sub_task, attempt, seq, logged_at, level, code, body FROM sub_task_log WHERE dag_id = ? AND +id > ?"
LINES = f"{_LINES} AND sub_task IN ({{keys}}) ORDER BY id"
ALL_LINES = f"{_LINES} ORDER BY id"

# Pages: newest or oldest first, of all, of one name, of the settled or the unsettled
PAGE_NEWEST = "SELECT id FROM dag WHERE id < ? ORDER BY id DESC LIMIT ?"
PAGE_OLDEST = "SELECT id FROM dag WHERE id > ? ORDER BY id LIMIT ?"
PAGE_NAMED_NEWEST = "SELECT id FROM dag WHERE name = ? AND id < ? ORDER BY id DESC LIMIT ?"
PAGE_NAMED_OLDEST = "SELECT id FROM dag WHERE name = ? AND id > ? ORDER BY id LIMIT ?"
PAGE_SETTLED_NEWEST = "SELECT dag_id FROM dag_state WHERE settled = ? AND dag_id < ? ORDER BY dag_id DESC LIMIT ?"
PAGE_SETTLED_OLDEST = "SELECT dag_id FROM dag_state WHERE settled = ? AND dag_id > ? ORDER BY dag_id LIMIT ?"
_SETTLED_NAMED = (
    "SELECT /*+ LEADING(d s) USE_NL(s) INDEX(s PRIMARY) INDEX(d dag_by_name) */ d.id "
    "FROM dag d JOIN dag_state s ON s.dag_id = d.id WHERE s.settled = ? AND d.name = ?"
)
PAGE_SETTLED_NAMED_NEWEST = f"{_SETTLED_NAMED} AND d.id < ? ORDER BY d.id DESC LIMIT ?"
PAGE_SETTLED_NAMED_OLDEST = f"{_SETTLED_NAMED} AND d.id > ? ORDER BY d.id LIMIT ?"

# Searching: a narrow row for each dag, written when something in it changes (`oboe.store.searching`)
PUT_SEARCH = (
    "INSERT INTO dag_search (dag_id, state, asked, led, creator, tenant, name, folded, created_at, ended_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
    "state = VALUES(state), asked = VALUES(asked), ended_at = VALUES(ended_at)"
)

# Forgetting
OLDEST_SETTLED = (
    "SELECT /*+ LEADING(s d) USE_NL(d) INDEX(d PRIMARY) */ d.id, d.dag_key, d.created_at "
    "FROM dag d JOIN dag_state s ON s.dag_id = d.id WHERE s.settled = 1 ORDER BY s.dag_id LIMIT ?"
)
NTH_NEWEST_SETTLED = "SELECT dag_id FROM dag_state WHERE settled = 1 ORDER BY dag_id DESC LIMIT 1 OFFSET ?"
FORGET = (
    "DELETE FROM sub_task_log WHERE dag_id IN ({keys})",
    "DELETE FROM sub_task WHERE dag_id IN ({keys})",
    "DELETE FROM dag_search WHERE dag_id IN ({keys})",
    "DELETE FROM dag_state WHERE dag_id IN ({keys})",
    "DELETE FROM dag WHERE id IN ({keys})",
)

# The record of what people did
INSERT_AUDIT = "INSERT INTO audit (id, done_at, who, what, value_before, value_after) VALUES (?, ?, ?, ?, ?, ?)"
AUDIT_NEWEST = "SELECT id, done_at, who, what, value_before, value_after FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
