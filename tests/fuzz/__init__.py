"""Inputs that strangers or mistakes may make, without end. README.md says how to add a target."""
