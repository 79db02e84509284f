"""Records of the kernel, as events."""
