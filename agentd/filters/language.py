"""Filters: text to a test of facts. Parsed by lark, from the grammar below.

``exe ~ "/usr/bin/.*" and uid != 0 and container``: comparisons, joined by and, or, not and
parentheses; a field alone asks whether it is known, and not empty, 0 or false. ``~`` searches a
regular expression. Every comparison with what is not known is false, ``!=`` and ``!~`` too;
``not`` turns that around.

A search that ran out of time is undecided: neither true nor false, by Kleene's logic. ``not``
leaves it so, and ``and`` and ``or`` are decided where the other side alone decides them.
"""

from __future__ import annotations

import operator
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeAlias

from agentd.core.redact import PatternError
from agentd.errors import AgentdError
from agentd.filters.fields import FIELDS, Facts
from agentd.filters.patterns import ITEMS_MAX, Search, compile_text, items
from agentd.filters.unloaded import unloaded
from agentd.terminal.escape import printable, shortened

with unloaded("regex"):  # which takes 2 MB, and only patterns need it
    from lark import Lark, Token, Transformer, Tree, UnexpectedInput, UnexpectedToken, v_args
    from lark.exceptions import VisitError

_GRAMMAR = r"""
?start: either
?either: both ("or"i both)*
?both: negation ("and"i negation)*
?negation: "not"i negation -> opposite
    | "(" either ")"
    | NAME OPERATOR value -> comparison
    | NAME "in"i "(" value ("," value)* ")" -> membership
    | NAME -> presence
?value: STRING | NUMBER | NAME | PATH
OPERATOR: "==" | "=" | "!=" | "!~" | "~" | "<=" | "<" | ">=" | ">"
STRING: /"([^"\\]|\\.)*"/ | /'([^'\\]|\\.)*'/
NUMBER: /-?[0-9]+/
PATH: /\/[^\s()'",]*/
NAME: /(?!(and|or|not|in)\b)[A-Za-z_][\w.\/-]*/i
%import common.WS
%ignore WS
"""
_ORDER = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


_HINT_COLUMNS = 78
TEXT_MAX = 4000
"""Characters of a filter."""
NESTING_MAX = 64
"""How deep ``not`` and parentheses may go; each level is a few calls, to compile and to ask."""
_DIGITS_MAX = 20
"""No number in an event has more."""
_SHOWN_BEFORE, _SHOWN_AFTER = 100, 100
"""Characters that an error shows around the place that it points at."""


Test: TypeAlias = Callable[[Facts, Search], bool | None]
"""Whether something holds; None if a search for it was given up."""


class FilterError(AgentdError):
    """A filter that is none. The message shows the place."""

    exit_code = 64  # EX_USAGE

    def __str__(self) -> str:
        return f"{self.message}\n{textwrap.fill(self.hint, _HINT_COLUMNS)}"


@dataclass(frozen=True, slots=True)
class ParsedFilter:
    """What a text asks for."""

    test: Test

    def verdict(self, facts: Facts, search: Search) -> bool | None:
        """Whether it is wanted; None where no search could decide that."""
        return self.test(facts, search)


def parse_filter(text: str) -> ParsedFilter:
    """The filter that a text stands for; an empty one lets everything through.

    Raises FilterError, which points at the column.
    """
    if not text.strip():
        return ParsedFilter(lambda facts, search: True)
    _check_text(text)
    try:
        tree = _parser().parse(text)
        _check_nesting(text, tree)
        test: Test = _Compiler(text).transform(tree)
    except UnexpectedInput as error:
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":
            raise _error(text, len(text), "it ends where more should be") from None
        at = error.pos_in_stream if error.pos_in_stream is not None else len(text)
        raise _error(text, at, "not understood from here on") from None
    except VisitError as error:
        if isinstance(error.orig_exc, FilterError):
            raise error.orig_exc from None
        raise
    return ParsedFilter(test)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr")


def _check_text(text: str) -> None:
    if len(text) > TEXT_MAX:
        raise _error(text, TEXT_MAX, f"it is longer than {TEXT_MAX} characters")
    for at, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            what = "a NUL" if character == "\0" else "a lone surrogate"
            raise _error(text, at, f"there is {what} in it")


def _check_nesting(text: str, tree: Tree[Token] | Token) -> None:
    """Without recursion: what is too deep would end in RecursionError."""
    nodes = [(tree, 0)]
    while nodes:
        node, depth = nodes.pop()
        if isinstance(node, Tree):
            nodes += [(child, depth + 1) for child in node.children]
        elif depth > NESTING_MAX:
            at = node.start_pos or 0
            raise _error(text, at, f"not and parentheses are nested more than {NESTING_MAX} deep")


def _error(text: str, at: int, problem: str) -> FilterError:
    start = max(0, at - _SHOWN_BEFORE)
    before, after = printable(text[start:at]), printable(text[at : at + _SHOWN_AFTER])
    message = (
        f"filter, column {at + 1}: {shortened(problem)}\n  {before}{after}\n  {' ' * len(before)}^"
    )
    return FilterError(message, f"the fields are {', '.join(FIELDS)}")


def _any(tests: tuple[Test, ...]) -> Test:
    def holds(facts: Facts, search: Search) -> bool | None:
        verdict: bool | None = False
        for test in tests:
            one = test(facts, search)
            if one:
                return True
            if one is None:
                verdict = None
        return verdict

    return holds


def _not(test: Test) -> Test:
    def holds(facts: Facts, search: Search) -> bool | None:
        verdict = test(facts, search)
        return None if verdict is None else not verdict

    return holds


@v_args(inline=True)
class _Compiler(Transformer[Token, Test]):
    """Turns the parse tree into functions, from the leaves up."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._items = 0
        """Of all patterns: compiled, each item takes memory and time."""

    def either(self, *tests: Test) -> Test:
        return _any(tests)

    def both(self, *tests: Test) -> Test:
        return _not(_any(tuple(map(_not, tests))))

    def opposite(self, test: Test) -> Test:
        return _not(test)

    def presence(self, name: Token) -> Test:
        field = self._field(name)
        return lambda facts, search: bool(facts.get(field))

    def membership(self, name: Token, *values: Token) -> Test:
        field = self._field(name)
        wanted = frozenset(self._value(field, value) for value in values)
        return lambda facts, search: facts.get(field) in wanted

    def comparison(self, name: Token, sign: Token, value: Token) -> Test:
        field = self._field(name)
        if sign in ("~", "!~"):
            return self._search(field, sign, value)
        wanted = self._value(field, value)
        if sign in _ORDER:
            return self._ordered(field, sign, wanted)
        if sign == "!=":
            return lambda facts, search: facts.get(field) not in (None, "", wanted)
        return lambda facts, search: facts.get(field) == wanted

    def _search(self, field: str, sign: Token, value: Token) -> Test:
        if FIELDS[field].kind is not str:
            raise self._wrong(sign, f"{field} is no text, and has nothing to search in")
        try:
            pattern = compile_text(_unquoted(value))
        except PatternError as error:
            raise self._wrong(value, error.fault) from None
        self._items += items(_unquoted(value))
        if self._items > ITEMS_MAX:
            problem = f"the repeats of all patterns come to more than {ITEMS_MAX} items"
            raise self._wrong(value, problem)

        def holds(facts: Facts, search: Search) -> bool | None:
            have = facts.get(field)
            return search(pattern, have) if isinstance(have, str) and have else False

        def lacks(facts: Facts, search: Search) -> bool | None:
            have = facts.get(field)
            found = search(pattern, have) if isinstance(have, str) and have else True
            return None if found is None else not found

        return holds if sign == "~" else lacks

    def _ordered(self, field: str, sign: Token, wanted: Any) -> Test:
        if FIELDS[field].kind is not int:
            raise self._wrong(sign, f"{field} is no number, and nothing is less or more")
        compare = _ORDER[sign]

        def holds(facts: Facts, search: Search) -> bool:
            have = facts.get(field)
            return have is not None and bool(compare(have, wanted))

        return holds

    def _field(self, name: Token) -> str:
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self._wrong(name, f"there is no field {name}{hint}")
        return str(name)

    def _value(self, field: str, value: Token) -> str | int | bool:
        kind = FIELDS[field].kind
        if kind is str:
            return _unquoted(value)
        if kind is bool:
            if value not in ("true", "false"):
                raise self._wrong(value, f"{field} is true or false")
            return str(value) == "true"
        if value.type != "NUMBER":
            raise self._wrong(value, f"{field} is a number")
        if len(value) > _DIGITS_MAX:
            raise self._wrong(value, f"no {field} has more than {_DIGITS_MAX} digits")
        return int(value)

    def _wrong(self, token: Token, problem: str) -> FilterError:
        return _error(self._text, token.start_pos or 0, problem)


def _unquoted(value: Token) -> str:
    """The text of a string; backslashes stand as they are, but before a quote."""
    if value.type != "STRING":
        return str(value)
    quote = value[0]
    return value[1:-1].replace(f"\\{quote}", quote)
