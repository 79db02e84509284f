"""Restart without loss: state that outlives a daemon, and how the next one continues."""
