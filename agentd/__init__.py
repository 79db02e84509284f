"""agentd: every fork, exec and exit of a Linux host, in order, as a tree."""

__version__ = "0.1.0"
