"""Published data sets and any two folders: how they lie on disk, found and paired."""
