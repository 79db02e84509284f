"""The process itself: its copies, its signals, and values that it sends to other processes."""
