"""Entries as JSON, lines of text, and journal fields."""
