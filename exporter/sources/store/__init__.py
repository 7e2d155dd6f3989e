"""OpenClaw's auth stores as a source: read directly, never written."""
