-- What searches look at, one narrow row for each dag
CREATE TABLE dag_search (
    dag_id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    led INTEGER NOT NULL,
    creator TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL
);
CREATE INDEX dag_search_by_created ON dag_search (created_at, dag_id);
CREATE INDEX dag_search_by_ended ON dag_search (ended_at, dag_id);
CREATE INDEX dag_search_by_name ON dag_search (name, dag_id);
CREATE INDEX dag_search_by_state ON dag_search (state, created_at, dag_id);
CREATE INDEX dag_search_by_creator ON dag_search (creator, created_at, dag_id);
INSERT INTO dag_search (dag_id, state, asked, led, creator, tenant, name, folded, created_at, ended_at)
SELECT d.id, s.state,
    CASE WHEN json_extract(s.body, '$.cancelled') = 1 AND s.state <> 5 THEN 5
        WHEN json_extract(s.body, '$.operator') = 2 THEN 3
        WHEN json_extract(s.body, '$.operator') = 3 THEN 4
        WHEN json_extract(s.body, '$.asks') > 0
            AND EXISTS (SELECT 1 FROM sub_task t WHERE t.dag_id = d.id AND json_extract(t.body, '$.asked_retries') > 0) THEN 2
        ELSE 1 END,
    json_extract(d.facts, '$.leader') IS NOT NULL,
    COALESCE(json_extract(d.facts, '$.creator'), 'obshell'),
    CASE WHEN json_extract(d.facts, '$.maintenance.kind') = 3 THEN json_extract(d.facts, '$.maintenance.key') ELSE '' END,
    d.name, LOWER(d.name), d.created_at, COALESCE(json_extract(s.body, '$.ended_at'), 0)
FROM dag d JOIN dag_state s ON s.dag_id = d.id;
