"""The openclaw command as a source: on this host, in a container, or over ssh."""
