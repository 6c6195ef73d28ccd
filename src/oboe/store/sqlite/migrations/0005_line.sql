-- Log lines of attempts for homes kept elsewhere, which those homes could not be told of
CREATE TABLE inbox_line (
    dag_key TEXT NOT NULL,
    sub_task INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (dag_key, sub_task, epoch, attempt, seq)
) WITHOUT ROWID;
