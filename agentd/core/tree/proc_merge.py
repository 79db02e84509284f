"""What a look at /proc adds to a process that is known: whose it is, and what it runs."""

from __future__ import annotations

from agentd.core.tree.images import Images, from_proc
from agentd.core.tree.live import Living
from agentd.core.tree.process import Process
from agentd.core.tree.sessions import Sessions


class Sightings:
    """Of live processes."""

    def __init__(self, living: Living, sessions: Sessions, images: Images) -> None:
        self._living = living
        self._sessions = sessions
        self._images = images

    def meet(self, process: Process, seen: Process) -> None:
        """Whose it is now: setsid(2), setuid(2), adoption and the like are no events."""
        parent = self._living.exact(seen.parent)
        if parent[1] or parent[0] != process.parent[0]:
            process.parent = parent
        process.inside = seen.inside
        process.seen_cgroup = self._images.cgroup(seen.seen_cgroup)
        process.uid = seen.uid
        process.process_group = seen.process_group
        if process.session != seen.session:
            process.session = seen.session
            self._sessions.join(process, 0)

    def merge(self, known: Process, seen: Process) -> None:
        """An event told of it before a scan that began earlier did. The younger of both stands."""
        if known.verified_ns > seen.verified_ns:
            return
        self.meet(known, seen)
        if known.image.executable:  # its next exec is an event, or is found when it was lost
            return
        known.verified_ns = seen.verified_ns
        known.image, known.image_ns = self._images.shared(from_proc(seen.image)), 0
