"""A starting configuration, user units, and the files that are shipped."""
