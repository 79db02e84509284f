"""agentd.core.redact"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentd.core.redact import DEFAULT_PATTERNS, PatternError, Redactor, Spans
from agentd.filters.patterns import Matcher


def _redactor(patterns: Iterable[str]) -> Redactor:
    """One that takes own patterns, and as much time as it needs."""
    return Redactor(patterns, Matcher(limited=False).own_pattern)


FLAGS = (
    "password", "passwd", "passphrase", "token", "secret", "api-key", "apikey", "api_key",
    "access-key", "private-key", "private_key", "client-secret", "client_secret", "db-password",
    "foo-token", "DB_PASSWORD",
)  # fmt: skip


def _args(*args: str) -> bytes:
    return b"".join(arg.encode() + b"\0" for arg in args)


def _redact(*args: str) -> list[str]:
    redacted = Redactor(DEFAULT_PATTERNS).redact(_args(*args)).args
    return redacted.decode().removesuffix("\0").split("\0")


@pytest.mark.parametrize("dashes", ["-", "--"])
@pytest.mark.parametrize("flag", FLAGS)
def test_values_of_flags(dashes: str, flag: str) -> None:
    """A secret is the whole rest of its flag's argument, or the whole following argument."""
    assert _redact("x", f"{dashes}{flag}=a b&c\nd", "y") == ["x", f"{dashes}{flag}=[redacted]", "y"]
    assert _redact("x", f"{dashes}{flag}", "a b", "y") == [
        "x",
        f"{dashes}{flag}",
        "[redacted]",
        "y",
    ]


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("PGPASSWORD=a b", "PGPASSWORD=[redacted]"),
        ("AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("GITHUB_TOKEN=ghp_1", "GITHUB_TOKEN=[redacted]"),
        ("APP_SECRET=a", "APP_SECRET=[redacted]"),
        ("MYSQL_PWD=a", "MYSQL_PWD=[redacted]"),
        ("-eROOT_PASSWORD=a b", "-eROOT_PASSWORD=[redacted]"),
        ("--env=ROOT_PASSWORD=a", "--env=ROOT_PASSWORD=[redacted]"),
        ("-Djavax.net.ssl.keyStorePassword=a", "-Djavax.net.ssl.keyStorePassword=[redacted]"),
    ],
)
def test_assignments(arg: str, expected: str) -> None:
    """What is assigned to a name that ends as a secret's name does is a secret."""
    assert _redact("env", arg, "make") == ["env", expected, "make"]


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("https://bob:x@example.org/a", "https://bob:[redacted]@example.org/a"),
        ("redis://:x@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("git+ssh://u:p@ss:w@h", "git+ssh://u:[redacted]@h"),
        ("--db=postgres://u:x@h/db?a=b", "--db=postgres://u:[redacted]@h/db?a=b"),
        ("a://u:x@h b://v:y@i", "a://u:[redacted]@h b://v:[redacted]@i"),
        ("https://bob:pa/ss@example.org/a", "https://bob:[redacted]@example.org/a"),
        ("https://bob:/p?a#s@h", "https://bob:/p?a#s@h"),
        ("https://:p/q@h", "https://:[redacted]@h"),
        ("a://u:x/y@h,b://v:z/w@i", "a://u:[redacted]@h,b://v:[redacted]@i"),
        ("postgres://u:x@h/db?mail=a@b", "postgres://u:[redacted]@h/db?mail=a@b"),
    ],
)
def test_urls(arg: str, expected: str) -> None:
    """The password in a URL is hidden, its user and host are not."""
    assert _redact("fetch", arg) == ["fetch", expected]


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("Authorization: Bearer a.b-c", "Authorization: Bearer [redacted]"),
        ("authorization: basic dTpw", "authorization: basic [redacted]"),
        ("Proxy-Authorization:dTpw", "Proxy-Authorization:[redacted]"),
        ("Authorization: Bearer ", "Authorization: [redacted]"),
        ("X-Api-Key: a b", "X-Api-Key: [redacted]"),
        ("X-Vault-Token: a", "X-Vault-Token: [redacted]"),
        ("PRIVATE-TOKEN: a", "PRIVATE-TOKEN: [redacted]"),
        ('{"Authorization": "Bearer a"}', '{"Authorization": "Bearer [redacted]"}'),
        ("PASSWORD: x", "PASSWORD: [redacted]"),
        ("X-Auth-Password: a b", "X-Auth-Password: [redacted]"),
        ("Api-Key:  x", "Api-Key:  [redacted]"),
        ("user: bob\npassword: 'a b'\nport: 1", "user: bob\npassword: '[redacted]'\nport: 1"),
    ],
)
def test_headers(arg: str, expected: str) -> None:
    """The credentials of a header are hidden, its name and the scheme are not."""
    assert _redact("curl", "-H", arg) == ["curl", "-H", expected]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("-u", "bob:a b"), ["-u", "bob:[redacted]"]),
        (("--user", "bob:a"), ["--user", "bob:[redacted]"]),
        (("--user=bob:a",), ["--user=bob:[redacted]"]),
        (("-c", "curl -u bob:a http://h"), ["-c", "curl -u bob:[redacted] http://h"]),
        (("-u", "a:b", "-u", "c:d"), ["-u", "a:[redacted]", "-u", "c:[redacted]"]),
    ],
)
def test_user_and_password(args: tuple[str, ...], expected: list[str]) -> None:
    """Behind the colon of a user's name is a password."""
    assert _redact("curl", *args) == ["curl", *expected]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("-p", "a b", "ssh", "h"), ["-p", "[redacted]", "ssh", "h"]),
        (("-pa", "ssh"), ["-p[redacted]", "ssh"]),
        (("-v", "-P", "pin:", "-p", "a", "ssh"), ["-v", "-P", "pin:", "-p", "[redacted]", "ssh"]),
        (("-f", "/x", "ssh", "-p", "22"), ["-f", "/x", "ssh", "-p", "22"]),
    ],
)
def test_sshpass(args: tuple[str, ...], expected: list[str]) -> None:
    """The password behind its -p is hidden, a port behind ssh's is not."""
    for name in ("sshpass", "/usr/bin/sshpass"):
        assert _redact(name, *args) == [name, *expected]


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("sshpass -p a ssh -p 22 h", "sshpass -p [redacted] ssh -p 22 h"),
        ("sshpass -v -p'a b' ssh h", "sshpass -v -p[redacted] ssh h"),
        ("user=bob&password=a&x=y", "user=bob&password=[redacted]&x=y"),
        ("password=a&user=bob", "password=[redacted]&user=bob"),
        ("http://h/?token=a&api_key=b c", "http://h/?token=[redacted]&api_key=[redacted] c"),
        ("TOKEN='a b' make 'x'", "TOKEN=[redacted]"),
        ("A=1 TOKEN='a b' make 'x'", "A=1 TOKEN=[redacted] make 'x'"),
        ('A=1 TOKEN="a b', "A=1 TOKEN=[redacted]"),
        ('curl "http://h/?token=a" b', 'curl "http://h/?token=[redacted]" b'),
        ("my --password a --x", "my --password [redacted] --x"),
        ('{"user":"bob","password":"a\\"b"}', '{"user":"bob","password":"[redacted]"}'),
        ('{"api_key" : "a b", "c": 1}', '{"api_key" : "[redacted]", "c": 1}'),
        ('{"password":"a', '{"password":"[redacted]'),
    ],
)
def test_within_an_argument(arg: str, expected: str) -> None:
    """In queries, scripts and JSON, a secret ends where its value does."""
    assert _redact("sh", "-c", arg) == ["sh", "-c", expected]


@pytest.mark.parametrize(
    "args",
    [
        ("x", "--password-file=/x", "y"),
        ("x", "--password-file", "/x"),
        ("psql", "--no-password", "db"),
        ("sh", "-c", "psql --no-password db"),
        ("gh", "auth", "login", "--with-token", "x"),
        ("x", "--token-endpoint=https://a/b"),
        ("x", "--secretary", "Ann"),
        ("x", "--secretary=Ann"),
        ("grep", "password", "file"),
        ("passwd", "root"),
        ("gpg", "--passphrase-fd", "0"),
        ("mysql", "-psecret"),
        ("ssh", "-p", "22", "git@example.org"),
        ("x", "--password"),
        ("x", "--password="),
        ("x", "--password", ""),
        ("sudo", "-u", "postgres", "psql"),
        ("python", "-u", "script.py"),
        ("docker", "run", "-u", "1000:1000", "--user", "1000:1000", "image"),
        ("rsync", "-u", "host:/path", "."),
        ("curl", "-u", "https://example.org/a@b"),
        ("systemctl", "--user", "start", "a:b"),
        ("ssh-keygen", "-t", "ed25519"),
        ("curl", "http://h:80/a@b", "http://h:80?a@b", "http://h:/a@b"),
        ("curl", "http://[::1]:80/a@b", "http://[fe80::a]:80/a@b"),
        ("skopeo", "docker://h:5000/a/b@sha256:00"),
        ("docker", "run", "-v", "secret:/run/secret", "-v", "token:/t"),
        ("sudo", "-p", "Password: ", "id"),
        ("ssh", "-p", "22", "sshpass"),
        ("curl", "-H", "Authorization:"),
        ("env", "PWD=/", "KEY=a", "AWS_ACCESS_KEY_ID=a"),
    ],
)
def test_what_is_no_secret_stays(args: tuple[str, ...]) -> None:
    """Words that sound like secrets but have no secret beside them change nothing."""
    assert _redact(*args) == list(args)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (b"", b""),
        (b"\0", b"\0"),
        (b"x\0--password", b"x\0--password"),
        (b"x\0--password\0", b"x\0--password\0"),
        (b"x\0--password\0hunt", b"x\0--password\0[redacted]"),
        (b"x\0--token=hunt", b"x\0--token=[redacted]"),
        (b"x\0--token=\xff\xfe\0", b"x\0--token=[redacted]\0"),
        (b"--token\0--password\0a\0b\0", b"--token\0[redacted]\0[redacted]\0b\0"),
    ],
)
def test_arguments_as_the_kernel_has_them(args: bytes, expected: bytes) -> None:
    """The last argument may be cut, arguments need not be text, and a flag may be a value."""
    assert Redactor(DEFAULT_PATTERNS).redact(args).args == expected


@pytest.mark.parametrize(
    ("pattern", "args", "expected"),
    [
        (r"ghp_\w+", ("a", "x=ghp_1,ghp_2"), "a x=[redacted],[redacted]"),
        (r"^(?P<next>-p)$", ("sshpass", "-p", "x", "ssh"), "sshpass -p [redacted] ssh"),
        (r"^id=(?P<secret>\d+)?", ("a", "id=7", "id="), "a id=[redacted] id="),
        (r"^b$", ("a", "b", "bb"), "a [redacted] bb"),
        (r"(?i)GEHEIM=(?P<secret>.*)", ("geheim=x",), "geheim=[redacted]"),
        ("größe=(?P<secret>.*)", ("größe=x",), "größe=[redacted]"),
        (r"(?=(?P<secret>zz))", ("azzb",), "a[redacted]b"),
        (
            r"^sshpass\x00-p\x00(?P<secret>[^\x00]+)",
            ("sshpass", "-p", "x"),
            "sshpass -p [redacted]",
        ),
        (r"b\x00c", ("ab", "cd", "b"), "a[redacted] [redacted]d b"),
    ],
)
def test_own_patterns(pattern: str, args: tuple[str, ...], expected: str) -> None:
    """A pattern hides its match, its group or what follows, with and without the default ones."""
    for patterns in ([pattern], [*DEFAULT_PATTERNS, pattern]):
        redacted = _redactor(patterns).redact(_args(*args)).args
        assert redacted == _args(*expected.split(" "))


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "not a regular expression"),
        ("a{99999999999999}", "not a regular expression"),
        ("(?u)a", "not a regular expression"),
        ("\ud800", "not a regular expression"),
        ("", "empty"),
        ("x*", "empty"),
        ("(?P<secret>x)?", "empty"),
        ("(?P<next>-p)(?P<secret>x)", "both"),
        (r"(?P<next>-p)\x00", "NUL"),
        ("e", "itself"),
        ("(?P<next>.)", "itself"),
    ],
)
def test_unusable_patterns(pattern: str, fault: str) -> None:
    """A pattern that is wrong, or would redact everything, is refused by name and reason."""
    with pytest.raises(PatternError) as raised:
        _redactor([*DEFAULT_PATTERNS, pattern])
    assert repr(pattern) in str(raised.value)
    assert fault in str(raised.value)


def test_changed_arguments_are_counted() -> None:
    """Each changed argument counts, every time; one that was redacted before does not."""
    redactor = Redactor(DEFAULT_PATTERNS)
    args = _args("x", "--token=a", "--password", "b", "http://u:p@h/?token=c", "d")
    for total in (3, 6):
        redacted = redactor.redact(args).args
        assert redactor.redacted_total == total
    assert redactor.redact(redacted).args == redacted
    assert redactor.redacted_total == 6


def test_no_patterns() -> None:
    """Without patterns nothing is changed."""
    assert Redactor([]).redact(_args("x", "--password=a")).args == _args("x", "--password=a")


def test_memory_of_clean_lines_is_bounded() -> None:
    """However many command lines sound like secrets, few are remembered, and none is changed."""
    redactor = Redactor(DEFAULT_PATTERNS)
    for number in range(3000):
        args = _args("grep", "token", str(number))
        assert redactor.redact(args).args == redactor.redact(args).args == args
    assert len(redactor._clean) <= 1024


FRAGMENTS = [
    b"\0", b"\0", b"=", b" ", b"&", b'"', b"'", b":", b"/", b"://", b"@", b"-", b"--", b"_", b"\\",
    b"\n", b"?", b"x", b"7", b"\xff", b"password", b"TOKEN", b"Secret", b"api-key", b"-u",
    b"--user", b"no-", b"Authorization", b"Bearer ", b"X-", b"private-token", b"MYSQL_PWD",
    b"[redacted]", b"[", b"redacted]",
]  # fmt: skip
LINES = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map(b"".join) | st.binary()


@given(LINES)
def test_nuls_are_kept(args: bytes) -> None:
    """Whatever the bytes are, there are as many arguments as before."""
    assert Redactor(DEFAULT_PATTERNS).redact(args).args.count(b"\0") == args.count(b"\0")


@given(LINES)
@example(b'TOKEN="a"b')
@example(b"authorization: x ")
def test_redacting_twice_changes_nothing_more(args: bytes) -> None:
    """What is redacted stays as it is, and is not counted again."""
    redactor = Redactor(DEFAULT_PATTERNS)
    once = redactor.redact(args).args
    total = redactor.redacted_total
    assert redactor.redact(once).args == once
    assert redactor.redacted_total == total


@given(LINES)
def test_the_quick_look_misses_nothing(args: bytes) -> None:
    """The words that are looked for first are in all that the default patterns match."""
    unknown = [f"{pattern}(?:)" for pattern in DEFAULT_PATTERNS]
    assert _redactor(unknown).redact(args).args == Redactor(DEFAULT_PATTERNS).redact(args).args


@given(st.lists(st.text("abcdfghijlmnqrvxyzABCDF0123456789-=/.,_: \n\"'", max_size=20)))
def test_arguments_without_trigger_words_stay(args: list[str]) -> None:
    """Where no word sounds like a secret, nothing is changed."""
    assert Redactor(DEFAULT_PATTERNS).redact(_args(*args)).args == _args(*args)


class _Meter:
    """Gives time for so many arguments."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.given_up: list[int] = []

    def start(self) -> None:
        """As Meter has it."""

    def may_search(self, place: int) -> bool:
        """As Meter has it."""
        return place < self._places

    def gave_up(self, place: int) -> None:
        """As Meter has it."""
        self.given_up.append(place)


class _Finder:
    """An own pattern that finds ``x``, and gives up on an argument with ``!`` in it."""

    groups: Mapping[str, int] = {}

    def spans(self, text: bytes, group: int) -> Spans | None:
        """As Finder has it."""
        if b"!" in text:
            return None
        return [(place, place + 1) for place, byte in enumerate(text) if byte == ord("x")]


@given(LINES, st.integers(0, 6))
def test_what_there_was_no_time_for_is_replaced_as_a_whole(args: bytes, places: int) -> None:
    """Up to there it is redacted as ever; from there on, nothing of any argument is left."""
    meter = _Meter(places)
    redactor = Redactor(DEFAULT_PATTERNS, meter=meter)
    redacted, complete = redactor.redact(args)
    whole = Redactor(DEFAULT_PATTERNS).redact(args).args
    assert complete == (not meter.given_up)
    if complete:
        assert redacted == whole
        return
    (place,) = meter.given_up
    found, before = redacted.split(b"\0"), args.split(b"\0")
    assert found[:place] == whole.split(b"\0")[:place]
    assert found[place:] == [b"[redacted]" if arg else b"" for arg in before[place:]]


def test_an_own_pattern_that_gives_up_hides_what_it_searched() -> None:
    """And all behind; the next command line is searched again."""
    meter = _Meter(100)
    redactor = Redactor(["x"], lambda pattern: _Finder(), meter)
    line = _args("axb", "c!d", "e")
    assert redactor.redact(line) == (_args("a[redacted]b", "[redacted]", "[redacted]"), False)
    assert redactor.redact(_args("axb", "e")) == (_args("a[redacted]b", "e"), True)
    assert meter.given_up == [1]


def test_a_pattern_of_the_line_that_gives_up_hides_all() -> None:
    """It was to be searched in all arguments at once."""
    redactor = Redactor([r"x\x00"], lambda pattern: _Finder())
    assert redactor.redact(_args("a", "b!")) == (_args("[redacted]", "[redacted]"), False)


WORST = [
    ("--a-", ""), ("@", ""), ("@\0", ""), ("key=\0", ""), ("key=", ""), ("://", "@"), ('"', "key"),
    ("://:", "x@"), ("--password ", ""), ("-", "password="), ("A", "TOKEN="), ("x-", "key:"),
    ("authorization: ", ""), (" ", "authorization:"), ("-u\0a", ":b"), (" -u a", ":b"),
    ("://:", ""), ("://a:b/", ""), ("://a:b/c", "@"), ("://a:1", "/"), ("password: ", ""),
    ('password: "', ""), ("password ", ": x"), ("sshpass\0-P\0", ""), ("sshpass\0-v\0", ""),
    ("sshpass -p ", ""), ("sshpass ", "-p"), ('"password" ', ""),
    ("token\0", ""), ("--user=a", ":1"), ("=", "secret"), ("-u ", ""),
]  # fmt: skip


@pytest.mark.parametrize(("repeated", "end"), WORST)
def test_no_default_pattern_takes_more_than_linear_time(repeated: str, end: str) -> None:
    """Four times as much text takes about four times as long; were it squared, sixteen times."""

    def seconds(length: int) -> float:
        line = (repeated * (length // len(repeated)) + end).encode()
        times = []
        for _ in range(5):
            redactor = Redactor(DEFAULT_PATTERNS)
            begun = time.thread_time()
            redactor.redact(line)
            times.append(time.thread_time() - begun)
        return min(times)

    assert seconds(32_000) < 10 * seconds(8_000)
