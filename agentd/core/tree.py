"""The process tree: who runs, who ran a moment ago, and who started whom.

Identity is (tgid, start_boottime_ns), parents are found by it, and a pid that is used again is
another process. Live processes are kept up to a bound, exited ones in a bounded LRU, which also
keeps a late event from bringing a dead process back. What does not fit the picture is counted
by reason and never raised: the stream may have gaps.

Processes seeded from /proc have their start only to a clock tick. The first event that names one
exactly gives it its exact key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter

from agentd.core.event import Event, Exec, Exit, Fork
from agentd.core.exited import Exited
from agentd.core.process import Applied, Image, Key, Process

# Applied(...) would run Python for each event; this makes the same object in C.
_make = tuple.__new__

_key: Callable[[Event], Key] = itemgetter(
    Fork._fields.index("tgid"), Fork._fields.index("start_boottime_ns")
)
_parent_key: Callable[[Event], Key] = itemgetter(
    Fork._fields.index("parent_tgid"), Fork._fields.index("parent_start_boottime_ns")
)


class Evictions:
    """Why a process was dropped from the tree."""

    LIVE_CAPACITY = "live_capacity"
    EXITED_CAPACITY = "exited_capacity"
    ALL = (LIVE_CAPACITY, EXITED_CAPACITY)


class Misses:
    """How an event did not fit the tree."""

    FORK_PARENT_UNKNOWN = "fork_parent_unknown"
    FORK_AFTER_EXIT = "fork_after_exit"
    EXEC_UNKNOWN = "exec_unknown"
    EXIT_UNKNOWN = "exit_unknown"
    EXIT_MISSED = "exit_missed"
    ALL = (FORK_PARENT_UNKNOWN, FORK_AFTER_EXIT, EXEC_UNKNOWN, EXIT_UNKNOWN, EXIT_MISSED)


_IMAGES_KEPT = 1024
"""Images looked up for sharing; the same commands recur soon or not at all."""


class Tree:
    """The tree of one host.

    ``tick_ns``: the resolution of start times in /proc. ``redact``: what takes the secrets out of
    arguments, before anything is kept or given.
    """

    def __init__(
        self,
        live_capacity: int,
        exited_capacity: int,
        tick_ns: int,
        redact: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.live_capacity = live_capacity
        self.exited_capacity = exited_capacity
        self.misses = dict.fromkeys(Misses.ALL, 0)
        self.duplicate_exits_total = 0
        """Exits of a process that had exited: two last threads on kernels that do not tell."""
        self._live: dict[int, Process] = {}
        self._images: dict[Image, Image] = {}
        self._exited: Exited[Key, Process] = Exited(exited_capacity)
        self._last_exit_ns = 0
        self._live_evicted = 0
        self.tick_ns = tick_ns
        self._redact = redact
        self._watched_exits: set[Key] | None = None

    @property
    def evictions(self) -> dict[str, int]:
        """Processes dropped, by reason."""
        return {
            Evictions.LIVE_CAPACITY: self._live_evicted,
            Evictions.EXITED_CAPACITY: self._exited.evicted,
        }

    @property
    def live(self) -> int:
        """How many processes are known to live."""
        return len(self._live)

    @property
    def exited(self) -> int:
        """How many exited processes are remembered."""
        return len(self._exited)

    def processes(self) -> Iterable[Process]:
        """The live processes."""
        return self._live.values()

    def seed(self, processes: Iterable[Process]) -> None:
        """Add processes found by a scan, before the first event is applied."""
        for process in processes:
            process.image = self._shared(process.image)
            self._insert(process)

    def find(self, key: Key) -> Process | None:
        """The process of that key, live or remembered."""
        process = self._live.get(key[0])
        if process is not None and (process.key == key or self._adopt(process, key)):
            return process
        return self._exited.get(key)

    def apply(self, event: Event) -> Applied | None:
        """Update the tree. None for the second exit of one process."""
        if isinstance(event, Exit):
            return self._exit(event)
        if isinstance(event, Exec):
            return self._exec(event)
        return self._fork(event)

    def _fork(self, event: Fork) -> Applied:
        key = _key(event)
        parent_key, parent = self._parent(event)
        if parent is None and parent_key[0]:
            self.misses[Misses.FORK_PARENT_UNKNOWN] += 1
        image = _inherited(parent, event.comm)
        live = self._live.get(key[0])
        # in order, no process is forked before one that has exited already
        if event.boottime_ns <= self._last_exit_ns and self._exited.get(key) is not None:
            self.misses[Misses.FORK_AFTER_EXIT] += 1
        elif live is None or live.key != key:  # else it came late, and more is known by now
            process = Process(key, parent_key, image, executed=False)
            process.updated_ns = event.boottime_ns
            self._insert(process)
        return _make(Applied, (event, image, parent and parent.image, False))

    def _exec(self, event: Exec) -> Applied:
        key = _key(event)
        parent_key, parent = self._parent(event)
        image = self._shared(_image(event))
        process = self.find(key)
        changed = False
        if process is None:
            self.misses[Misses.EXEC_UNKNOWN] += 1
            process = Process(key, parent_key, image, executed=True)
            self._insert(process)
        else:
            changed = process.executed
            process.image = image
            process.executed = True
            process.parent = parent_key
        process.updated_ns = event.boottime_ns
        return _make(Applied, (event, image, parent and parent.image, changed))

    def _exit(self, event: Exit) -> Applied | None:
        key = _key(event)
        parent_key, parent = self._parent(event)
        process = self.find(key)
        if process is None:
            self.misses[Misses.EXIT_UNKNOWN] += 1
            process = Process(key, parent_key, _inherited(None, event.comm), executed=False)
        elif process.exit_code is not None:
            self.duplicate_exits_total += 1
            return None
        process.exit_code = event.exit_code
        self._last_exit_ns = max(self._last_exit_ns, event.boottime_ns)
        process.parent = parent_key
        if self._watched_exits is not None:
            self._watched_exits.add(self.ticks(key))
        self._forget(process)
        return _make(Applied, (event, process.image, parent and parent.image, False))

    def ticks(self, key: Key) -> Key:
        """A key as good as /proc has it: pid and start in clock ticks."""
        return key[0], key[1] // self.tick_ns

    def watch_exits(self) -> None:
        """A scan begins: note who exits from now on, until it has been compared."""
        self._watched_exits = set()

    def unwatch_exits(self) -> None:
        """The scan has been compared."""
        self._watched_exits = None

    def exited_since_scan(self, key: Key) -> bool:
        """Whether a process, given to the tick, has exited since the scan began."""
        return self._watched_exits is not None and self.ticks(key) in self._watched_exits

    def live_at(self, tgid: int) -> Process | None:
        """The live process of that pid."""
        return self._live.get(tgid)

    def exact(self, key: Key) -> Key:
        """The exact key of a process that is given to the tick, if it lives."""
        process = self._live.get(key[0])
        same = process is not None and self.ticks(process.key) == self.ticks(key)
        return process.key if same and process is not None else key

    def add(self, process: Process) -> None:
        """A process that was found alive; an owner of its pid before it has exited unseen."""
        process.parent = self.exact(process.parent)
        process.image = self._shared(process.image)
        self._insert(process)

    def replace_image(self, process: Process, image: Image) -> None:
        """A process was found running another image."""
        process.image = self._shared(image)
        process.executed = True

    def close(self, process: Process) -> None:
        """A process was found gone."""
        self._forget(process)

    def _forget(self, process: Process) -> None:
        """From the living to the remembered."""
        if self._live.get(process.key[0]) is process:
            del self._live[process.key[0]]
        self._exited.remember(process.key, process)

    def _parent(self, event: Event) -> tuple[Key, Process | None]:
        """The parent and its key: the parent's own, so that all its children share one."""
        key = _parent_key(event)
        parent = self.find(key)
        return (key, None) if parent is None else (parent.key, parent)

    def _shared(self, image: Image) -> Image:
        """The same image as of another process that runs the same, without its secrets."""
        shared = self._images.get(image)
        if shared is None:
            if len(self._images) >= _IMAGES_KEPT:
                self._images.clear()
            shared = self._images[image] = image._replace(args=self._redact(image.args))
        return shared

    def _adopt(self, process: Process, key: Key) -> bool:
        """Give a seeded process its exact start, if that is the one /proc rounded."""
        if not process.coarse or process.key[1] // self.tick_ns != key[1] // self.tick_ns:
            return False
        process.key = key
        process.coarse = False
        return True

    def _started_later(self, process: Process, other: Process) -> bool:
        return process.key[1] // self.tick_ns > other.key[1] // self.tick_ns

    def _insert(self, process: Process) -> None:
        """Make it the live owner of its pid; an owner that never exited did so unseen."""
        tgid = process.key[0]
        previous = self._live.get(tgid)
        if previous is None:
            if len(self._live) >= self.live_capacity:
                del self._live[next(iter(self._live))]
                self._live_evicted += 1
        elif self._started_later(previous, process):
            self._exited.remember(process.key, process)  # the scan already saw who came after it
            return
        else:
            del self._live[tgid]
            if not self._adopt(previous, process.key):
                self.misses[Misses.EXIT_MISSED] += 1
                self._exited.remember(previous.key, previous)
        self._live[tgid] = process


def _image(event: Exec) -> Image:
    executable = event.path or event.filename
    return Image(_text(event.comm), executable, event.args, event.args_count)


def _text(comm: bytes) -> bytes:
    """A NUL-padded name without its padding."""
    return comm.partition(b"\0")[0]


def _inherited(parent: Process | None, comm: bytes) -> Image:
    """The image of a child: its parent's, unless the parent is unknown or was renamed since."""
    name = _text(comm)
    if parent is None:
        return Image(name, b"", b"", 0)
    if parent.image.name == name:
        return parent.image
    return parent.image._replace(name=name)
