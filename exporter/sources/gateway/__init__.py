"""A running gateway's admin RPC as a source."""
