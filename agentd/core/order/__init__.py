"""Events of all CPUs in the order of time."""
