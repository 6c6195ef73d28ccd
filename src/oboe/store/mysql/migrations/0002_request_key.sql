-- Requests that were asked once by key, and what was answered
CREATE TABLE IF NOT EXISTS request_key (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    asked VARCHAR(64) NOT NULL,
    begun_at BIGINT NOT NULL,
    status INT NOT NULL,
    answer LONGTEXT NOT NULL,
    KEY request_key_by_age (begun_at)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;
