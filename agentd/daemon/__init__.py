"""The daemon: how it starts, the loop that drains the kernel, and its outputs."""
