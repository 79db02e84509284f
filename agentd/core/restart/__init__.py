"""Continues a stream where another process, or other programs, left it."""
