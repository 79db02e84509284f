"""Protocols of systemd and journald: sd_notify(3), the journal's socket, its rate limit."""
