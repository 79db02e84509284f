"""What agentd needs from the host. ``run`` and ``doctor`` use the same checks."""
