-- What searches look at, one narrow row for each dag
CREATE TABLE IF NOT EXISTS dag_search (
    dag_id BIGINT NOT NULL PRIMARY KEY,
    state INT NOT NULL,
    asked INT NOT NULL,
    led INT NOT NULL,
    creator VARCHAR(255) NOT NULL,
    tenant VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    folded VARCHAR(512) NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    KEY dag_search_by_created (created_at, dag_id),
    KEY dag_search_by_ended (ended_at, dag_id),
    KEY dag_search_by_name (name, dag_id),
    KEY dag_search_by_state (state, created_at, dag_id),
    KEY dag_search_by_creator (creator, created_at, dag_id)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO dag_search (dag_id, state, asked, led, creator, tenant, name, folded, created_at, ended_at)
SELECT d.id, s.state,
    CASE WHEN JSON_UNQUOTE(JSON_EXTRACT(s.body, '$.cancelled')) = 'true' AND s.state <> 5 THEN 5
        WHEN JSON_UNQUOTE(JSON_EXTRACT(s.body, '$.operator')) = '2' THEN 3
        WHEN JSON_UNQUOTE(JSON_EXTRACT(s.body, '$.operator')) = '3' THEN 4
        WHEN JSON_EXTRACT(s.body, '$.asks') IS NOT NULL
            AND EXISTS (SELECT 1 FROM sub_task t WHERE t.dag_id = d.id AND JSON_EXTRACT(t.body, '$.asked_retries') IS NOT NULL) THEN 2
        ELSE 1 END,
    CASE WHEN JSON_EXTRACT(d.facts, '$.leader') IS NULL THEN 0 ELSE 1 END,
    COALESCE(JSON_UNQUOTE(JSON_EXTRACT(d.facts, '$.creator')), 'obshell'),
    CASE WHEN JSON_UNQUOTE(JSON_EXTRACT(d.facts, '$.maintenance.kind')) = '3'
        THEN JSON_UNQUOTE(JSON_EXTRACT(d.facts, '$.maintenance.key')) ELSE '' END,
    d.name, LOWER(d.name), d.created_at, CAST(COALESCE(JSON_UNQUOTE(JSON_EXTRACT(s.body, '$.ended_at')), '0') AS SIGNED)
FROM dag d JOIN dag_state s ON s.dag_id = d.id;
