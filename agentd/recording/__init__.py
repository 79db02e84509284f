"""Recordings of all that goes into a pipeline, and how one is done again."""
