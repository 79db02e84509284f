"""``agentd bench transport``: what each transport reorders, drops and costs on this very host."""
