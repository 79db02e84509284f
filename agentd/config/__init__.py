"""The configuration: each key is declared once, in schema.py."""
