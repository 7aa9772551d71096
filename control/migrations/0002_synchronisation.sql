-- What the present incarnation of a studio mounts, and how its final synchronisation went.
CREATE TABLE studio_mounts (
    studio TEXT PRIMARY KEY REFERENCES studios (id) ON DELETE CASCADE, epoch INTEGER NOT NULL, mounts TEXT NOT NULL,
    final TEXT
) STRICT;
