"""A running gateway's admin RPC."""
