"""What a configuration means for the core: its bounds, and whether it sees the whole host."""

from __future__ import annotations

from agentd.config.schema import Config
from agentd.core.pipeline import Limits
from agentd.core.tree.tree import TreeLimits


def limits_of(config: Config) -> Limits:
    """The bounds that a configuration sets."""
    return Limits(
        reorder_capacity=config.reorder.capacity,
        slack_ns=config.reorder.slack_us * 1000,
        tree=TreeLimits(
            live_capacity=config.tree.live_capacity,
            exited_capacity=config.tree.exited_capacity,
            ancestor_capacity=config.tree.ancestor_capacity,
            exited_age_ns=config.tree.exited_seconds * 1_000_000_000,
            text_bytes=config.tree.text_bytes,
        ),
    )


def is_filtered(config: Config) -> bool:
    """Whether the kernel is to tell of some processes only."""
    return bool(config.filter.cgroup.strip("/"))
