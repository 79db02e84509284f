"""From an exception that nobody expected to its cause on the host, where that is known."""

from __future__ import annotations

from types import ModuleType

from agentd.errors import AgentdError
from agentd.requirements import packages
from agentd.requirements.limits import shortage


def known_cause(error: BaseException) -> AgentdError | None:
    """What the host lacks; None if the exception does not say."""
    if isinstance(error, AgentdError):
        return error
    found: AgentdError | None = shortage(error)
    if found is None and isinstance(error, ImportError):
        found = packages.failed_import(error)
    if found is None and isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        found = packages.foreign_module(error.obj)
    return found
