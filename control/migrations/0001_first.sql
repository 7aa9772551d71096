CREATE TABLE users (
    login TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, password_hash TEXT,
    admin INTEGER NOT NULL, created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE group_names (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE group_members (
    name TEXT NOT NULL REFERENCES group_names (name) ON DELETE CASCADE,
    login TEXT NOT NULL REFERENCES users (login) ON DELETE CASCADE,
    PRIMARY KEY (name, login)
) STRICT;
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, login TEXT NOT NULL REFERENCES users (login) ON DELETE CASCADE, label TEXT NOT NULL,
    scope TEXT NOT NULL, secret_hash BLOB NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER
) STRICT;
CREATE TABLE login_tokens (
    hash BLOB PRIMARY KEY, purpose TEXT NOT NULL, login TEXT NOT NULL REFERENCES users (login) ON DELETE CASCADE,
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE projects (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, permissions TEXT NOT NULL
) STRICT;
CREATE TABLE templates (
    id TEXT PRIMARY KEY, label TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, allowed_groups TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE template_versions (
    template TEXT NOT NULL REFERENCES templates (id) ON DELETE CASCADE, version INTEGER NOT NULL, spec TEXT NOT NULL,
    resources TEXT NOT NULL, saved_by TEXT NOT NULL, saved_at INTEGER NOT NULL,
    PRIMARY KEY (template, version)
) STRICT;
CREATE TABLE blobs (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE builds (
    id TEXT PRIMARY KEY, template TEXT NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    template_version INTEGER NOT NULL, state TEXT NOT NULL, image TEXT, failure TEXT, no_cache INTEGER NOT NULL,
    requested_by TEXT NOT NULL, created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER, launch TEXT
) STRICT;
CREATE INDEX builds_of_template ON builds (template, created_at);
CREATE TABLE build_log (
    build TEXT NOT NULL REFERENCES builds (id) ON DELETE CASCADE, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    node TEXT NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (build, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE studios (
    id TEXT PRIMARY KEY, project TEXT NOT NULL REFERENCES projects (key), name TEXT NOT NULL, owner TEXT NOT NULL,
    template TEXT NOT NULL, template_version INTEGER, build TEXT, desired TEXT NOT NULL, state TEXT NOT NULL,
    epoch INTEGER NOT NULL, task TEXT, failure TEXT, created_at INTEGER NOT NULL, started_at INTEGER,
    UNIQUE (project, owner, name)
) STRICT;
CREATE TABLE open_issues (
    studio TEXT NOT NULL REFERENCES studios (id) ON DELETE CASCADE, mount TEXT NOT NULL, open TEXT NOT NULL,
    PRIMARY KEY (studio, mount)
) STRICT;
CREATE TABLE agent_credentials (
    studio TEXT PRIMARY KEY REFERENCES studios (id) ON DELETE CASCADE, epoch INTEGER NOT NULL, bootstrap_hash BLOB,
    session_hash BLOB, pod_uid TEXT NOT NULL, boot_id TEXT NOT NULL
) STRICT;
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL, result TEXT, failure TEXT,
    requested_by TEXT NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER
) STRICT;
CREATE INDEX tasks_by_state ON tasks (state);
CREATE TABLE task_events (
    task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    step TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (task, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, login TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TABLE idempotency (
    login TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, request_hash BLOB NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (login, key)
) STRICT;
