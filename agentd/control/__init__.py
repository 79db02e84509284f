"""Questions to a running daemon: what it answers, who asks, and how the answer looks."""
