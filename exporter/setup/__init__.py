"""Setting up a host: the starting configuration, the user's systemd units, and the shipped files."""
