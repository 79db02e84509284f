"""The process tree: the live, the exited, and who started whom."""
