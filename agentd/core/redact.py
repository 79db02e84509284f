r"""Secrets on command lines, replaced before anything leaves the core.

A pattern is a regular expression on bytes, ``(?i)`` in it makes it blind to case. It is searched
in each single argument, and all that it matches there is replaced by ``[redacted]``, or

* if it has a group ``secret``: what that group matched, and the rest stays;
* if it has a group ``next``, it matches a flag, and the whole following argument is replaced.

A pattern that speaks of the NUL between arguments, as ``\x00``, is searched in the whole command
line instead. So it can tell ``curl -u name:secret`` from ``sort -u file``. NULs are always kept.

What the default patterns leave alone: ``-psecret`` and ``-p secret``, as of mysql and sshpass,
because ``-p`` is a port, a path or a process elsewhere; a token in place of a URL's user; secrets
that no name announces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
    # scheme://user:x@host
    r"""://[^/?#\s:@"']*:(?P<secret>[^/?#\s"']+)@""",
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


@dataclass(slots=True, frozen=True)
class _Rule:
    """A compiled pattern and what it is for."""

    regex: re.Pattern[bytes]
    group: int
    """What is replaced; 0 is all."""
    of_line: bool
    """Searched in the whole command line."""
    hides_next: bool

    def apply(self, text: bytes) -> bytes:
        """The text, with the secrets that this rule finds in it replaced."""
        pieces = []
        done = 0
        for match in self.regex.finditer(text):
            start, end = match.span(self.group)
            if done <= start < end:
                pieces += [text[done:start], _mask(text[start:end])]
                done = end
        return b"".join([*pieces, text[done:]]) if pieces else text


def _mask(secret: bytes) -> bytes:
    return b"\0".join([REDACTED if piece else b"" for piece in secret.split(b"\0")])


def _compile(pattern: str) -> _Rule:
    try:
        regex = re.compile(pattern.encode(), re.ASCII)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise PatternError(pattern, f"not a regular expression: {error}") from error
    groups = regex.groupindex
    rule = _Rule(
        regex,
        groups.get("secret", 0),
        of_line=any(nul in pattern for nul in (r"\x00", r"\0", "\0")),
        hides_next="next" in groups,
    )
    if "secret" in groups and rule.hides_next:
        raise PatternError(pattern, "has both groups, secret and next: make two patterns of it")
    if rule.of_line and rule.hides_next:
        raise PatternError(pattern, "has a NUL and the group next: use the group secret")
    if regex.search(b""):
        raise PatternError(pattern, "matches the empty string and so everywhere")
    if regex.search(REDACTED) if rule.hides_next else rule.apply(REDACTED) != REDACTED:
        raise PatternError(pattern, f"matches in {REDACTED.decode()} itself: make it narrower")
    return rule


class Redactor:
    """Replaces what the patterns call secret in command lines.

    Command lines that were found clean are remembered, because the same ones recur; those with
    secrets are not.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.redacted_total = 0
        """How many arguments were changed."""
        rules = {pattern: _compile(pattern) for pattern in patterns}
        own = [rule for pattern, rule in rules.items() if pattern not in DEFAULT_PATTERNS]
        self._words = _WORDS if len(own) < len(rules) else ()
        self._with_words = tuple(rules.values())
        self._without_words = tuple(own)
        self._clean: set[bytes] = set()

    def redact(self, args: bytes) -> bytes:
        """The arguments, each ended by a NUL, without their secrets."""
        rules = self._rules_for(args)
        if not rules or args in self._clean:
            return args
        redacted = args
        for rule in rules:
            if rule.of_line:
                redacted = rule.apply(redacted)
        redacted = b"\0".join(self._each(redacted.split(b"\0")))
        if redacted == args:
            self._remember_clean(args)
            return args
        before, after = args.split(b"\0"), redacted.split(b"\0")
        self.redacted_total += sum(old != new for old, new in zip(before, after, strict=True))
        return redacted

    def _rules_for(self, text: bytes) -> tuple[_Rule, ...]:
        """The rules that may find something. It is run for every exec: most have no such word."""
        lowered = text.lower()
        for word in self._words:
            if word in lowered:
                return self._with_words
        return self._without_words

    def _each(self, args: list[bytes]) -> Iterator[bytes]:
        hidden = False
        for arg in args:
            text = _mask(arg) if hidden else arg
            hidden = False
            for rule in self._rules_for(arg):
                if rule.hides_next:
                    hidden = hidden or rule.regex.search(arg) is not None
                elif not rule.of_line:
                    text = rule.apply(text)
            yield text

    def _remember_clean(self, args: bytes) -> None:
        if len(args) > _CLEAN_KEPT_BYTES:
            return
        if len(self._clean) >= _CLEAN_CAPACITY:
            self._clean.clear()
        self._clean.add(args)
