"""Processes of ours that may die: they do what others can make slow, large, or never end.

A coordinator takes requests from the daemon and forks a worker for each. The worker answers the
daemon over a socket that came with the request. The coordinator does nothing that can block: it
kills a worker that is stuck. The daemon never imports ``coordinator`` and ``jobs``.
"""
