"""From messages to channels: the outbox, its workers, and what they report."""
