"""The `openclaw models status` command: on this host, in a container, over ssh."""
