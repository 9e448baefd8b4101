-- Lists read rows of `runs`: what is large stands elsewhere.
CREATE TABLE run_requests (
    run INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    answer TEXT NOT NULL
) STRICT;

INSERT INTO run_requests (run, request, answer) SELECT seq, request, answer FROM runs;

DROP TRIGGER runs_deleted;

-- What a run costs: also its request, its answer and its nodes' rows, as `store` counts them.
UPDATE runs SET bytes = bytes + length(CAST(request AS BLOB)) + length(CAST(answer AS BLOB)) + 512
    + (SELECT coalesce(sum(256 + length(uid) + coalesce(length(name), 0) + coalesce(length(error), 0)
        + coalesce(length(failures), 0) + coalesce(length(last_status), 0)), 0) FROM run_nodes WHERE run = seq);

ALTER TABLE runs DROP COLUMN request;
ALTER TABLE runs DROP COLUMN answer;

CREATE TRIGGER runs_deleted AFTER DELETE ON runs BEGIN
    DELETE FROM run_requests WHERE run = old.seq;
    DELETE FROM run_nodes WHERE run = old.seq;
    UPDATE blobs SET refs = refs - 1 WHERE id = old.graph;
END;

CREATE INDEX runs_by_client ON runs (client_id, seq) WHERE client_id IS NOT NULL;
