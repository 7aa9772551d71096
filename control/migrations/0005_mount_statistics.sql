-- What was done to the mounts of a studio, and how the last synchronisation went.
CREATE TABLE mount_statistics (
    studio TEXT NOT NULL REFERENCES studios (id) ON DELETE CASCADE, mount TEXT NOT NULL, statistics TEXT NOT NULL,
    PRIMARY KEY (studio, mount)
) STRICT;
