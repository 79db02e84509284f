"""The front: a process of its own that speaks with strangers, so that the daemon need not."""
