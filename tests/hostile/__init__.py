"""agentd under attack, as other users of the host would attack it."""
