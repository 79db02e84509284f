"""A virtual machine on this machine's own root: another kernel, or a real systemd."""
