"""Names of users and groups, asked of the name service (nsswitch.conf(5)), which may never answer.

Parts: ``[sort, [[number, name or None], …]]``, where sort is ``user`` or ``group``.
"""

from __future__ import annotations

import grp
import pwd
from typing import Any

from agentd.core.text import clean
from agentd.helpers.worker import Answers, Progress

NAME_CHARACTERS_MAX = 256
LISTED_MAX = 16384
"""How many users, and how many groups, are listed: a directory may hold millions."""
_PART_NAMES = 128


def run(answers: Answers, asked: Any, progress: Progress) -> None:
    """``asked``: the numbers to look up, by sort; None for all that the host lists."""
    if asked is None:
        users = [(user.pw_uid, clean(user.pw_name)) for user in pwd.getpwall()[:LISTED_MAX]]
        _send(answers, "user", users)
        groups = [(group.gr_gid, clean(group.gr_name)) for group in grp.getgrall()[:LISTED_MAX]]
        _send(answers, "group", groups)
    else:
        for sort, lookup in (("user", _user_name), ("group", _group_name)):
            for number in asked.get(sort, ()):
                answers.part([sort, [[number, lookup(number)]]])
    answers.done()


def _send(answers: Answers, sort: str, named: list[tuple[int, str]]) -> None:
    """Of several names of one number the first counts, as for the lookup."""
    names = [[number, name] for number, name in dict(reversed(named)).items() if _is_short(name)]
    for start in range(0, len(names), _PART_NAMES):
        answers.part([sort, names[start : start + _PART_NAMES]])


def _is_short(name: str) -> bool:
    return len(name) <= NAME_CHARACTERS_MAX


def _user_name(uid: int) -> str | None:
    try:
        name = clean(pwd.getpwuid(uid).pw_name)
    except (KeyError, OSError):
        return None
    return name if _is_short(name) else None


def _group_name(gid: int) -> str | None:
    try:
        name = clean(grp.getgrgid(gid).gr_name)
    except (KeyError, OSError):
        return None
    return name if _is_short(name) else None
