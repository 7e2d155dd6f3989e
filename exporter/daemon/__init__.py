"""The running daemon: scheduler, reload and signals, heartbeat, systemd, and the exposition that scrapes read."""
