"""Writes what shells need to complete command lines: for bash, zsh and fish, from the parser.

They need nothing of a shell's own collections, as Debian's bash-completion is one.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from agentd.cli.parser import make_parser
from agentd.cli.query_parser import COLUMNS
from agentd.config.schema import Config
from agentd.filters.fields import FIELDS

KEYS = [
    f"{section.name}.{key.name}="
    for section in fields(Config)
    for key in fields(getattr(Config(), section.name))
]
WORDS = {"FILTER": list(FIELDS), "SECTION.KEY=VALUE": KEYS}
"""What may stand there, by what the help calls it."""


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every parser, with the words that lead to it."""
    yield words, parser
    for word, below in subcommands(parser).items():
        yield from commands(below, (*words, word))


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Those right below."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What begins with --."""
    return [action for action in parser._actions if action.option_strings]


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What stands by itself."""
    groups = argparse._SubParsersAction
    return [a for a in parser._actions if not a.option_strings and not isinstance(a, groups)]


def long(action: argparse.Action) -> str:
    """An option's name."""
    return next(name for name in action.option_strings if name.startswith("--"))


def takes_value(action: argparse.Action) -> bool:
    """Whether something follows an option."""
    return action.nargs != 0


def meaning(action: argparse.Action) -> str:
    """Its help, in a line without what shells would take for their own."""
    text = (action.help or "").replace("%(default)s", str(action.default))
    return text.translate(str.maketrans("", "", "[]:'\"$`\\"))


def help_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each command below is for."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {choice.dest: meaning(choice) for choice in found[0]._choices_actions}


def bash() -> str:
    """For bash."""
    cases = []
    for words, parser in commands(make_parser()):
        command = " ".join(words)
        for action in (*options(parser), *arguments(parser)):
            if takes_value(action):
                name = long(action) if action.option_strings else ""
                cases.append(f"\t'{command}:{name}') {_bash_values(action)} ;;")
        every = [*subcommands(parser), *map(long, options(parser))]
        cases.append(f"\t'{command}:--') _agentd_words {shlex.quote(' '.join(every))} ;;")
    groups = [
        words[0] for words, parser in commands(make_parser()) if words and subcommands(parser)
    ]
    return _BASH.replace("CASES", "\n".join(cases)).replace("GROUPS", "|".join(groups))


def _bash_values(action: argparse.Action) -> str:
    if action.choices:
        return f"_agentd_words {shlex.quote(' '.join(action.choices))}"
    if action.metavar == "A,B":
        return f"_agentd_list {shlex.quote(' '.join(COLUMNS))}"
    if action.metavar in WORDS:
        text = shlex.quote(" ".join(WORDS[str(action.metavar)]))
        return f"_agentd_beginnings {text}"
    if str(action.metavar).startswith("PID"):
        return '_agentd_words "$(cd /proc && echo [0-9]*)"'
    others = {"FILE": "_agentd_files", "PATH": "_agentd_files", "NAME|UID": "_agentd_users"}
    return others.get(str(action.metavar), ":")


_BASH = """\
# made by packaging/completion.py

_agentd_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# after which something follows at once
_agentd_beginnings()
{
	compopt -o nospace 2>/dev/null
	_agentd_words "$1"
}

_agentd_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_agentd_users()
{
	mapfile -t COMPREPLY < <(compgen -u -- "$cur")
}

# names with commas between
_agentd_list()
{
	compopt -o nospace 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*,}"}" -W "$1" -- "${cur##*,}")
}

_agentd_value()
{
	case $1 in
CASES
	*) return 1 ;;
	esac
}

_agentd()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=
	COMPREPLY=()
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = && $COMP_CWORD -gt 2 ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	((COMP_CWORD > 1)) && command=${COMP_WORDS[1]}
	if [[ $command == @(GROUPS) ]] && ((COMP_CWORD > 2)); then
		command+=" ${COMP_WORDS[2]}"
	fi
	if [[ $prev == --* ]] && _agentd_value "$command:$prev"; then
		return
	fi
	if [[ $cur != -* ]] && _agentd_value "$command:"; then
		return
	fi
	_agentd_value "$command:--"
}

complete -F _agentd agentd
"""


def zsh() -> str:
    """For zsh."""
    lines = ["#compdef agentd", "# made by packaging/completion.py", ""]
    for words, parser in commands(make_parser()):
        name = "_".join(("_agentd", *words)).replace("-", "_")
        lines += [f"{name}()", "{"]
        specs = [_zsh_option(action) for action in options(parser)]
        specs += [f":{action.metavar}:{_zsh_values(action)}" for action in arguments(parser)]
        below = subcommands(parser)
        if below:
            specs += ["1:command:->command", "*::argument:->argument"]
            lines += ["\tlocal context state state_descr line", "\ttypeset -A opt_args"]
        lines.append("\t_arguments -s " + " ".join(map(shlex.quote, specs)))
        if below:
            lines += _zsh_commands(name, parser)
        lines += ["}", ""]
    return "\n".join([*lines, '_agentd "$@"', ""])


def _zsh_commands(name: str, parser: argparse.ArgumentParser) -> list[str]:
    described = [shlex.quote(f"{word}:{text}") for word, text in help_of(parser).items()]
    cases = [f"\t\t{word}) {name}_{word.replace('-', '_')} ;;" for word in subcommands(parser)]
    return [
        "\tcase $state in",
        f"\tcommand) local -a names=({' '.join(described)}); _describe command names ;;",
        "\targument)", "\t\tcase $words[1] in", *cases, "\t\tesac ;;", "\tesac",
    ]  # fmt: skip


def _zsh_option(action: argparse.Action) -> str:
    value = f":{action.metavar or 'value'}:{_zsh_values(action)}" if takes_value(action) else ""
    return f"{long(action)}[{meaning(action)}]{value}".replace("A,B", "columns")


def _zsh_values(action: argparse.Action) -> str:
    if action.choices:
        return f"({' '.join(action.choices)})"
    if action.metavar == "A,B":
        return f"_sequence compadd - {' '.join(COLUMNS)}"
    if action.metavar in WORDS:
        return f"compadd -S '' - {' '.join(WORDS[str(action.metavar)])}"
    kinds = {"FILE": "_files", "PATH": "_files", "NAME|UID": "_users"}
    return "_pids" if str(action.metavar).startswith("PID") else kinds.get(str(action.metavar), " ")


def fish() -> str:
    """For fish."""
    lines = [
        "# fish completion for agentd; made by packaging/completion.py",
        "complete -c agentd -f",
    ]
    for words, parser in commands(make_parser()):
        when = _fish_condition(words, subcommands(parser))
        for word, text in help_of(parser).items() if subcommands(parser) else ():
            lines.append(f"complete -c agentd -n '{when}' -a {word} -d '{text}'")
        for action in options(parser):
            value = f" -x -a {_fish_values(action)}" if takes_value(action) else ""
            if takes_value(action) and action.metavar in ("FILE", "PATH"):
                value = " -r -F"
            name = long(action).removeprefix("--")
            lines.append(f"complete -c agentd -n '{when}' -l {name}{value} -d '{meaning(action)}'")
        for action in arguments(parser):
            value = "-F" if action.metavar == "FILE" else f"-a {_fish_values(action)}"
            lines.append(f"complete -c agentd -n '{when}' {value}")
    return "\n".join([*lines, ""])


def _fish_condition(words: tuple[str, ...], below: dict[str, argparse.ArgumentParser]) -> str:
    if not words:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
    return f"{seen}; and not __fish_seen_subcommand_from {' '.join(below)}" if below else seen


def _fish_values(action: argparse.Action) -> str:
    if action.choices:
        return f"'{' '.join(action.choices)}'"
    if action.metavar == "A,B":
        return f"'{' '.join(COLUMNS)}'"
    if action.metavar in WORDS:
        return f"'{' '.join(WORDS[str(action.metavar)])}'"
    if str(action.metavar).startswith("PID"):
        return "'(__fish_complete_pids)'"
    return "'(__fish_complete_users)'" if action.metavar == "NAME|UID" else "''"


def main() -> None:
    """Write them below a folder, as /usr/share has them."""
    made = {
        "bash-completion/completions/agentd": bash(),
        "zsh/vendor-completions/_agentd": zsh(),
        "fish/vendor_completions.d/agentd.fish": fish(),
    }
    for place, text in made.items():
        path = Path(sys.argv[1]) / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
