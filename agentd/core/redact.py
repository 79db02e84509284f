r"""Secrets on command lines, replaced before anything leaves the core.

A pattern is a regular expression on bytes, ``(?i)`` in it makes it blind to case. It is searched
in each single argument, and all that it matches there is replaced by ``[redacted]``, or

* if it has a group ``secret``: what that group matched, and the rest stays;
* if it has a group ``next``, it matches a flag, and the whole following argument is replaced.

A pattern that speaks of the NUL between arguments, as ``\x00``, is searched in the whole command
line instead. So it can tell ``curl -u name:secret`` from ``sort -u file``. NULs are always kept.

The default patterns run on ``re``; none of them takes more than linear time. Patterns that people
wrote are searched by what an edge hands in (``Finder``), which may give up. ``Meter`` says how long
all of it may take. When time runs out, the argument that was being searched and all behind it are
replaced as a whole: an argument that nobody has searched is never shown.

What the default patterns leave alone: ``-psecret`` and ``-p secret`` of others than sshpass, as of
mysql, because ``-p`` is a port, a path or a process elsewhere; a token in place of a URL's user; a
URL's password that looks like a port with a path behind it; secrets that no name announces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

REDACTED = b"[redacted]"

_NAMES = "password|passwd|passphrase|token|secret|(?:api|access|private|secret)[-_.]?key"
_SWITCH = "(?:no|ask|with)[-_]"
"""What flags that take no value begin with."""
_VALUE = r"""(?P<secret>"[^"]*(?:"[^&\s"']*)?|'[^']*(?:'[^&\s"']*)?|[^&\s"']+)"""
"""As a shell or a query string has it: up to an ampersand, white space or a quote."""

DEFAULT_PATTERNS: tuple[str, ...] = (
    # --password x, -db_password x, but not --no-password
    rf"(?i)^(?P<next>--?(?!-|{_SWITCH})(?:[\w.-]*[-_.])?(?:{_NAMES}))$",
    # --password=x, --db-token=x, -Djavax.net.ssl.keyStorePassword=x
    rf"(?is)^-[\w.-]*(?:{_NAMES})=(?P<secret>.+)",
    # PGPASSWORD=x, AWS_SECRET_ACCESS_KEY=x
    r"(?s)^[A-Z0-9_]*(?:PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|(?:API|ACCESS|PRIVATE|SECRET)_?KEY"
    r"|MYSQL_PWD|SSHPASS)=(?P<secret>.+)",
    # the same within an argument: ?user=u&password=x, sh -c 'TOKEN=x make', sh -c 'm --password x'
    rf"(?i)(?:{_NAMES}|mysql_pwd|sshpass)={_VALUE}",
    rf"(?i)(?<!\S)--(?!{_SWITCH})(?:[\w.-]*[-_.])?(?:{_NAMES})\s+{_VALUE}",
    # {"password": "x"}
    rf'(?is)"[\w.-]*(?:{_NAMES})"\s*:\s*"(?P<secret>(?:[^"\\]|\\.)+)',
    # scheme://user:x@host, also with a slash in x, where that is no port
    r"""://(?!\[)[^/?#\s:@"']*:(?P<secret>[^/?#\s"']+|(?!\d*[/?#])(?:(?!://)[^\s"'])+)@""",
    # PASSWORD: x, as a header or a line of YAML has it
    rf"""(?i)(?:{_NAMES})\s*:\s+["']?(?P<secret>[^\s"'][^"'\r\n]*)""",
    # sshpass -p x, sshpass -v -px, sh -c 'sshpass -p x ssh host'
    r"sshpass\x00(?:-[ev]\x00|-P\x00?[^\x00]+\x00){0,4}-p\x00?(?P<secret>[^\x00]+)",
    rf"sshpass\s+(?:-[ev]\s+)?-p\s*{_VALUE}",
    # Authorization: Bearer x, X-Api-Key: x
    r"(?i)(?:authorization|(?<![\w-])x-[\w-]*(?:key|token|secret)|(?<![\w-])private-token)"
    r"""["']?\s*:\s*["']?(?:(?:bearer|basic|digest|negotiate|token)\s+)?(?P<secret>[^\s"'][^"'\r\n]*)""",
    # curl -u user:x, but not docker run -u 1000:1000, rsync -u host:/path
    r"(?:^|\x00)(?:-u\x00|--user[\x00=])[^\x00:/]+:(?!/|\d+(?:\x00|$))(?P<secret>[^\x00]+)",
    r""" (?:-u |--user[ =]) *["']?[^\s:/"']+:(?!/|\d+(?:\s|$))(?P<secret>[^\s"']+)""",
)

_WORDS = (
    b"pass", b"token", b"secret", b"key", b"authorization", b"_pwd", b"@",
    b"-u\0", b"-u ", b"-user",
)  # fmt: skip
"""Any match of a default pattern has one of them in it, in lower case."""

_CLEAN_CAPACITY = 1024
_SHOWN_MAX = 200
"""Characters of a pattern that an error shows."""
_CLEAN_KEPT_BYTES = 4096
"""Longer command lines are not remembered."""


class PatternError(ValueError):
    """A pattern that cannot be used; names it and what is wrong with it."""

    def __init__(self, pattern: str, fault: str) -> None:
        shown = repr(pattern if len(pattern) <= _SHOWN_MAX else f"{pattern[:_SHOWN_MAX]}…")
        super().__init__(f"{shown}: {fault}")
        self.fault = fault


Spans: TypeAlias = list[tuple[int, int]]
"""Where a pattern's group was found: start and end; -1 where the group took no part."""


class Redaction(NamedTuple):
    """Arguments without their secrets."""

    args: bytes
    complete: bool
    """False: time ran out, and what was not searched is replaced as a whole."""


Redact: TypeAlias = Callable[[bytes], Redaction]
"""Takes the secrets out of arguments, each ended by a NUL."""


def redact_nothing(args: bytes) -> Redaction:
    """Leave arguments as they are."""
    return Redaction(args, complete=True)


class Finder(Protocol):
    """A pattern that a person wrote, compiled."""

    @property
    def groups(self) -> Mapping[str, int]:
        """Its named groups."""

    def spans(self, text: bytes, group: int) -> Spans | None:
        """Where it is found; None if it gave up."""


class Meter(Protocol):
    """Limits the time that redaction takes."""

    def start(self) -> None:
        """The next command line is searched."""

    def may_search(self, place: int) -> bool:
        """Whether there is time for the argument at that place; what was done so far is paid."""

    def gave_up(self, place: int) -> None:
        """All from that argument on is replaced."""


class Unmetered:
    """Never runs out of time."""

    def start(self) -> None:
        """As Meter has it."""

    def may_search(self, place: int) -> bool:
        """As Meter has it."""
        return True

    def gave_up(self, place: int) -> None:
        """As Meter has it."""


@dataclass(slots=True, frozen=True)
class _Rule:
    """A compiled pattern and what it is for."""

    spans: Callable[[bytes], Spans | None]
    """Where it finds what is to be replaced; None if it gave up."""
    of_line: bool
    """Searched in the whole command line."""
    hides_next: bool

    def apply(self, text: bytes) -> bytes | None:
        """The text, with the secrets that this rule finds in it replaced; None if it gave up."""
        spans = self.spans(text)
        if not spans:
            return None if spans is None else text
        pieces = []
        done = 0
        for start, end in spans:
            if done <= start < end:
                pieces += [text[done:start], _mask(text[start:end])]
                done = end
        return b"".join([*pieces, text[done:]]) if pieces else text


def _mask(secret: bytes) -> bytes:
    return b"\0".join([REDACTED if piece else b"" for piece in secret.split(b"\0")])


def _compile(pattern: str, own: Callable[[str], Finder]) -> _Rule:
    find, groups = _default(pattern) if pattern in DEFAULT_PATTERNS else _own(own(pattern))
    group = groups.get("secret", 0)
    rule = _Rule(
        lambda text: find(text, group),
        of_line=any(nul in pattern for nul in (r"\x00", r"\0", "\0")),
        hides_next="next" in groups,
    )
    if "secret" in groups and rule.hides_next:
        raise PatternError(pattern, "has both groups, secret and next: make two patterns of it")
    if rule.of_line and rule.hides_next:
        raise PatternError(pattern, "has a NUL and the group next: use the group secret")
    if find(b"", 0):
        raise PatternError(pattern, "matches the empty string and so everywhere")
    if find(REDACTED, 0) if rule.hides_next else rule.apply(REDACTED) != REDACTED:
        raise PatternError(pattern, f"matches in {REDACTED.decode()} itself: make it narrower")
    return rule


_Compiled: TypeAlias = tuple[Callable[[bytes, int], Spans | None], Mapping[str, int]]


def _default(pattern: str) -> _Compiled:
    regex = re.compile(pattern.encode(), re.ASCII)

    def spans(text: bytes, group: int) -> Spans:
        return [match.span(group) for match in regex.finditer(text)]

    return spans, regex.groupindex


def _own(finder: Finder) -> _Compiled:
    return finder.spans, finder.groups


def no_own_patterns(pattern: str) -> Finder:
    """Stands where there are none."""
    raise PatternError(pattern, "is none of the default patterns")


class Redactor:
    """Replaces what the patterns call secret in command lines.

    ``own`` compiles those that are not default patterns, and raises PatternError. Command lines
    that were found clean are remembered, because the same ones recur; those with secrets are not.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        own: Callable[[str], Finder] = no_own_patterns,
        meter: Meter | None = None,
    ) -> None:
        self.redacted_total = 0
        """How many arguments were changed."""
        rules = {pattern: _compile(pattern, own) for pattern in patterns}
        others = [rule for pattern, rule in rules.items() if pattern not in DEFAULT_PATTERNS]
        self._words = _WORDS if len(others) < len(rules) else ()
        self._with_words = tuple(rules.values())
        self._without_words = tuple(others)
        self._clean: set[bytes] = set()
        self._meter: Meter = Unmetered() if meter is None else meter

    def redact(self, args: bytes) -> Redaction:
        """The arguments, each ended by a NUL, without their secrets."""
        rules = self._rules_for(args)
        if not rules or args in self._clean:
            return Redaction(args, complete=True)
        self._meter.start()
        line = self._of_line(rules, args)
        searched = [] if line is None else list(self._each(line.split(b"\0")))
        before = args.split(b"\0")
        complete = len(searched) == len(before)
        if not complete:
            self._meter.gave_up(len(searched))
            unsearched = (args if line is None else line).split(b"\0")[len(searched) :]
            searched += map(_mask, unsearched)
        redacted = b"\0".join(searched)
        if redacted == args:
            if complete:
                self._remember_clean(args)
            return Redaction(args, complete)
        self.redacted_total += sum(old != new for old, new in zip(before, searched, strict=True))
        return Redaction(redacted, complete)

    def _rules_for(self, text: bytes) -> tuple[_Rule, ...]:
        """The rules that may find something. It is run for every exec: most have no such word."""
        lowered = text.lower()
        for word in self._words:
            if word in lowered:
                return self._with_words
        return self._without_words

    def _of_line(self, rules: tuple[_Rule, ...], args: bytes) -> bytes | None:
        """The command line after the rules for the whole of it; None when time ran out."""
        if not self._meter.may_search(0):
            return None
        for rule in rules:
            if rule.of_line:
                applied = rule.apply(args)
                if applied is None:
                    return None
                args = applied
        return args

    def _each(self, args: list[bytes]) -> Iterator[bytes]:
        """Each argument after the other rules, until time runs out."""
        hidden = False
        for place, arg in enumerate(args):
            if not self._meter.may_search(place):
                return
            text = _mask(arg) if hidden else arg
            hidden = False
            for rule in self._rules_for(arg):
                if rule.hides_next:
                    found = rule.spans(arg)
                    if found is None:
                        return
                    hidden = hidden or bool(found)
                elif not rule.of_line:
                    applied = rule.apply(text)
                    if applied is None:
                        return
                    text = applied
            yield text

    def _remember_clean(self, args: bytes) -> None:
        if len(args) > _CLEAN_KEPT_BYTES:
            return
        if len(self._clean) >= _CLEAN_CAPACITY:
            self._clean.clear()
        self._clean.add(args)
