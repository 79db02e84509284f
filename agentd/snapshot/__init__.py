"""Answers about the tree, given by short-lived copies of the daemon's process."""
