"""``agentd doctor``: whether agentd can run here, and what stands in its way."""
