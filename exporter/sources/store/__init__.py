"""OpenClaw's auth stores, read directly and never written."""
