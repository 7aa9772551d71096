-- What owners of studios want of their mounts; NULL: as the template says.
CREATE TABLE mount_settings (
    studio TEXT NOT NULL REFERENCES studios (id) ON DELETE CASCADE, mount TEXT NOT NULL, live INTEGER, merge INTEGER,
    PRIMARY KEY (studio, mount)
) STRICT;
