"""The one language in which commands say which processes and events they mean (docs/filters.md)."""
