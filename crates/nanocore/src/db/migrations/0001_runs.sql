-- Values: outputs, inputs, graphs. Each content stands here once; `refs` counts the columns that point to it.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    refs INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TRIGGER blobs_unused AFTER UPDATE OF refs ON blobs WHEN new.refs <= 0 BEGIN
    DELETE FROM blobs WHERE id = new.id;
END;

-- `seq` is the order of submission, also that of pages. Times are milliseconds since 1970.
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    durable INTEGER NOT NULL,
    idempotency_key TEXT UNIQUE,
    request_hash BLOB NOT NULL,
    graph INTEGER NOT NULL REFERENCES blobs (id),
    request TEXT NOT NULL,
    name TEXT,
    client_id TEXT,
    rerun_of TEXT,
    answer TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    duration_ms INTEGER,
    counts TEXT,
    reason TEXT,
    resumed INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_by_status ON runs (status, seq, bytes);

CREATE TRIGGER runs_deleted AFTER DELETE ON runs BEGIN
    DELETE FROM run_nodes WHERE run = old.seq;
    UPDATE blobs SET refs = refs - 1 WHERE id = old.graph;
END;

-- `place` is the order in the graph file.
CREATE TABLE run_nodes (
    run INTEGER NOT NULL,
    node_id INTEGER NOT NULL,
    place INTEGER NOT NULL,
    uid TEXT NOT NULL,
    name TEXT,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    server_uid TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    duration_ms INTEGER,
    error TEXT,
    failures TEXT,
    cause INTEGER,
    unconfirmed INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0,
    last_status TEXT,
    outputs INTEGER REFERENCES blobs (id),
    inputs INTEGER REFERENCES blobs (id),
    PRIMARY KEY (run, node_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER run_nodes_deleted AFTER DELETE ON run_nodes BEGIN
    UPDATE blobs SET refs = refs - 1 WHERE id = old.outputs;
    UPDATE blobs SET refs = refs - 1 WHERE id = old.inputs;
END;

-- `used` grows with each use: the smallest goes first.
CREATE TABLE cache (
    key BLOB PRIMARY KEY,
    outputs INTEGER NOT NULL REFERENCES blobs (id),
    bytes INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cache_by_use ON cache (used);

CREATE TRIGGER cache_deleted AFTER DELETE ON cache BEGIN
    UPDATE blobs SET refs = refs - 1 WHERE id = old.outputs;
END;

-- One row, so that the bounds of the cache cost no look at all of it.
CREATE TABLE cache_totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO cache_totals VALUES (1, 0, 0);

CREATE TRIGGER cache_inserted AFTER INSERT ON cache BEGIN
    UPDATE cache_totals SET entries = entries + 1, bytes = bytes + new.bytes;
END;

CREATE TRIGGER cache_counted_out AFTER DELETE ON cache BEGIN
    UPDATE cache_totals SET entries = entries - 1, bytes = bytes - old.bytes;
END;
