"""Writes the manual pages, agentd(8) from the command line and agentd.toml(5) from the settings,
and docs/config.md, from the settings as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from agentd import __version__
from agentd.cli.parser import make_parser
from agentd.config.schema import Config
from agentd.config.toml_writer import inline

_FILES = {
    "/etc/agentd/agentd.toml": "the configuration of the service",
    "/run/agentd/agentd.sock": "where agentd status, tree, ps, explain and follow ask",
    "/run/agentd-scan.sock": "where the service asks for a look at /proc",
}
_EXITS = {
    0: "it was asked to stop, or has done what was asked",
    1: "a bug; what happened stands on standard error",
    64: "the command line is wrong",
    65: "a running daemon has no answer",
    69: "this kernel or host does not offer what is needed, or no daemon answers",
    74: "standard output cannot be written",
    75: "somebody else has the port or the socket",
    77: "a privilege is missing",
    78: "the configuration is wrong",
    141: "the reader of standard output has left",
}


def text(words: str) -> str:
    """Words that roff takes as they are."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def heading(name: str, section: int, what: str) -> list[str]:
    """The first lines of a page."""
    return [
        f'.TH {name.upper()} {section} "" "agentd {__version__}"',
        ".SH NAME",
        f"{text(name)} \\- {text(what)}",
    ]


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, with the words that call it."""
    waiting = [("agentd", make_parser())]
    while waiting:
        name, parser = waiting.pop(0)
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for action in below:
            waiting += [(f"{name} {word}", child) for word, child in action.choices.items()]
        if not below:
            yield name, parser


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """What a command takes."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = "" if action.nargs == 0 or not action.option_strings else action.metavar or ""
        if action.choices and not value:
            value = "|".join(action.choices)
        says = (action.help or "").replace("%(default)s", str(action.default))
        yield from (".TP", f"\\fB{text(name)}\\fR {text(str(value))}".rstrip(), text(says))


def agentd_8() -> list[str]:
    """The program."""
    page = heading("agentd", 8, "every fork, exec and exit of this host, in order")
    page += [".SH SYNOPSIS"]
    for name, _ in commands():
        page += [".B", text(name), "[option ...]", ".br"]
    page += [".SH DESCRIPTION"]
    page += [
        "agentd reports every process that is made, what it runs and how it ends, in the order in",
        "which that happened, and an exact account of what was missed. As a service it writes one",
        "JSON object a line into the journal; its metrics are at http://127.0.0.1:9847/metrics.",
        ".SH COMMANDS",
    ]
    for name, parser in commands():
        page += [f".SS {text(name)}", text(parser.description or "")]
        page += options(parser)
        if parser.epilog:
            heading_line, *examples = parser.epilog.splitlines()
            page += [".PP", text(heading_line), ".nf", *map(text, examples), ".fi"]
    page += [".SH FILES"]
    for path, what in _FILES.items():
        page += [".TP", f"\\fI{text(path)}\\fR", text(what)]
    page += [".SH EXIT STATUS"]
    for code, what in _EXITS.items():
        page += [".TP", str(code), text(what)]
    return [*page, ".SH SEE ALSO", "\\fBagentd.toml\\fR(5)"]


def agentd_toml_5() -> list[str]:
    """The configuration."""
    page = heading("agentd.toml", 5, "configuration of agentd")
    page += [".SH DESCRIPTION", "TOML. Every key may be left out; \\fBagentd check\\-config\\fR"]
    page += ["says whether a file is good, and one key of it can be changed for a run with"]
    page += ["\\fBagentd run \\-\\-set SECTION.KEY=VALUE\\fR."]
    for section in fields(Config):
        settings: Any = section.default
        page += [f".SH [{section.name}]", text(type(settings).__doc__ or "")]
        for key in fields(settings):
            page += [".TP", f"\\fB{text(key.name)}\\fR", text(_meaning(key.metadata, key.default))]
    return [*page, ".SH SEE ALSO", "\\fBagentd\\fR(8)"]


def config_md() -> list[str]:
    """The configuration as docs/config.md."""
    page = ["# Configuration", ""]
    page += ["Made from the code by `packaging/man.py`, like `agentd.toml(5)` and"]
    page += ["[config/agentd.toml](../config/agentd.toml), the default file. Every key may be left"]
    page += ["out; `agentd check-config FILE` says whether a file is good, and"]
    page += ["`agentd run --set SECTION.KEY=VALUE` changes one key for a run."]
    for section in fields(Config):
        settings: Any = section.default
        page += ["", f"## `[{section.name}]`", "", str(type(settings).__doc__), ""]
        page += ["| key | meaning | default |", "|---|---|---|"]
        for key in fields(settings):
            meaning, _, default = _meaning(key.metadata, key.default).rpartition(" Default: ")
            page.append(f"| `{key.name}` | {meaning.rstrip('.')} | `{default}` |")
    return page


def _meaning(metadata: Any, default: Any) -> str:
    bounds = f", from {metadata['low']} to {metadata['high']}" if metadata["high"] else ""
    shown = "a list, in the shipped file" if isinstance(default, tuple) else inline(default)
    return f"{metadata['meaning']}{bounds}. Default: {shown}"


def main() -> None:
    """Write them into a folder."""
    folder = Path(sys.argv[1])
    for name, page in (("agentd.8", agentd_8()), ("agentd.toml.5", agentd_toml_5())):
        (folder / name).write_text("".join(f"{line}\n" for line in page if line))
    (folder / "config.md").write_text("".join(f"{line}\n" for line in config_md()))


if __name__ == "__main__":
    main()
