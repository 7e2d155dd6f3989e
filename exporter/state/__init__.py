"""What outlives the process, in SQLite: the credential history and the alert state."""
