"""Whether agentd works: self-tests, the watchdog, warnings."""
