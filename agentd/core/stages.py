"""Where events can be lost, by the words of ``lost`` events and metrics."""

from __future__ import annotations

STAGE_RESERVE = "reserve"
"""No room in the ring buffer."""
STAGE_LOST_SAMPLES = "lost_samples"
"""No room in a CPU's perf buffer."""
STAGE_OUTPUT = "output"
"""Refused by the kernel: no perf buffer on that CPU."""
STAGE_RESTART = "restart"
"""Delivered, and unread when its reader died: a BPF ring keeps that, perf buffers do not."""
STAGE_SINK = "sink"
"""Left in order, and dropped where it was to be written: the reader was too slow."""
STAGE_DECODE = "decode"
"""Delivered, but not believed."""
STAGE_MIXED = "mixed"
"""Several of these, and which of them hit which event cannot be told."""
