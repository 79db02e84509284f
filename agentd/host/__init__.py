"""Reads the host (/proc, clocks, cgroups, namespaces), and gives up capabilities."""
