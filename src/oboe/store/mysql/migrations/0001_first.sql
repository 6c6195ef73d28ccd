-- Release 0.1.0. Statements of this database end a transaction each, so every one can be run again.
CREATE TABLE IF NOT EXISTS counter (name VARCHAR(32) NOT NULL PRIMARY KEY, value BIGINT NOT NULL) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO counter (name, value) VALUES ('audit', 0), ('dag', 0), ('log', 0), ('node', 0), ('sub_task', 0);
CREATE TABLE IF NOT EXISTS dag (
    id BIGINT NOT NULL PRIMARY KEY,
    dag_key VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    maintained INT NOT NULL,
    node_base BIGINT NOT NULL,
    sub_task_base BIGINT NOT NULL,
    size INT NOT NULL,
    created_at BIGINT NOT NULL,
    facts LONGTEXT NOT NULL,
    UNIQUE KEY dag_by_key (dag_key),
    KEY dag_by_node (node_base),
    KEY dag_by_sub_task (sub_task_base),
    KEY dag_by_name (name, id),
    KEY dag_by_maintenance (maintained, id)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dag_state (
    dag_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    state INT NOT NULL,
    settled INT NOT NULL,
    body LONGTEXT NOT NULL,
    KEY dag_state_by_settled (settled, dag_id)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS sub_task (
    dag_id BIGINT NOT NULL,
    sub_task INT NOT NULL,
    body LONGTEXT NOT NULL,
    PRIMARY KEY (dag_id, sub_task)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS sub_task_log (
    id BIGINT NOT NULL PRIMARY KEY,
    dag_id BIGINT NOT NULL,
    sub_task INT NOT NULL,
    attempt INT NOT NULL,
    seq BIGINT NOT NULL,
    logged_at BIGINT NOT NULL,
    level INT NOT NULL,
    code VARCHAR(128) NOT NULL,
    body LONGTEXT NOT NULL,
    UNIQUE KEY sub_task_log_once (dag_id, sub_task, attempt, seq)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS maintenance_lock (
    scope VARCHAR(160) NOT NULL PRIMARY KEY,
    dag_key VARCHAR(64) NOT NULL,
    kind INT NOT NULL,
    dag_name VARCHAR(255) NOT NULL,
    dag_id BIGINT NOT NULL,
    taken_at BIGINT NOT NULL
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS audit (
    id BIGINT NOT NULL PRIMARY KEY,
    done_at BIGINT NOT NULL,
    who VARCHAR(255) NOT NULL,
    what VARCHAR(255) NOT NULL,
    value_before LONGTEXT NOT NULL,
    value_after LONGTEXT NOT NULL
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS lease (
    id INT NOT NULL PRIMARY KEY,
    ip VARCHAR(64) NOT NULL,
    port INT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO lease (id, ip, port, epoch, expires_at) VALUES (1, '', 0, 0, 0);
CREATE TABLE IF NOT EXISTS member (
    ip VARCHAR(64) NOT NULL,
    port INT NOT NULL,
    body LONGTEXT NOT NULL,
    PRIMARY KEY (ip, port)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS zone (name VARCHAR(128) NOT NULL PRIMARY KEY, status VARCHAR(32) NOT NULL) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS server (
    ip VARCHAR(64) NOT NULL,
    rpc_port INT NOT NULL,
    sql_port INT NOT NULL,
    zone VARCHAR(128) NOT NULL,
    agent_ip VARCHAR(64) NOT NULL,
    agent_port INT NOT NULL,
    status VARCHAR(32) NOT NULL,
    with_rootserver INT NOT NULL,
    build_version VARCHAR(255) NOT NULL,
    PRIMARY KEY (ip, rpc_port)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cluster_fact (name VARCHAR(128) NOT NULL PRIMARY KEY, body LONGTEXT NOT NULL) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
