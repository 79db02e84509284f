"""YAML as far as configuration files need it: mappings, lists, texts, true, false and null.

The library's own constructors fail in many ways on explicit tags, dates and numbers, expand
aliases, and take the last of duplicate keys. Here everything that is not plain is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from agentd.terminal.escape import shortened

_DEPTH_MAX = 16
_TAG = "tag:yaml.org,2002:"
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_TEXT_TAGS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "timestamp", "value")}
"""A number or a date is a text here; the reader knows what it must be."""


class NotYamlError(Exception):
    """Says what cannot be read, and where, on one line."""


def parse_yaml(text: str) -> Any:
    """Return dicts, lists, texts, bools and None. Raises NotYamlError."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise NotYamlError(shortened(" ".join(str(error).split()))) from None
    except (
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # an escape of no character; nesting
        raise NotYamlError(shortened(str(error))) from None
    return None if node is None else _value(node, 0)


class _Loader(yaml.SafeLoader):
    """Composes nodes; an alias is refused, as one line of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f"aliases are not taken (line {self.get_mark().line + 1})"
            )
        return super().compose_node(parent, index)


def _value(node: yaml.Node, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise _refused(node, f"nested more than {_DEPTH_MAX} deep")
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, depth)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_value(each, depth + 1) for each in node.value]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    raise _refused(node, f"{node.tag} is not taken")


def _mapping(node: yaml.MappingNode, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise _refused(key_node, "a key must be a text")
        if key in found:
            raise _refused(key_node, f"{shortened(key)} is there twice")
        found[key] = _value(value_node, depth + 1)
    return found


def _scalar(node: yaml.ScalarNode) -> str | bool | None:
    read: dict[str, Callable[[str], str | bool | None]] = {
        f"{_TAG}null": lambda text: None,
        f"{_TAG}bool": lambda text: _TRUTHS.get(text.lower()),
    }
    if node.tag in _TEXT_TAGS:
        return str(node.value)
    if node.tag not in read:
        raise _refused(node, f"{node.tag} is not taken")
    return read[node.tag](node.value)


def _refused(node: yaml.Node, problem: str) -> NotYamlError:
    mark = node.start_mark
    return NotYamlError(f"{shortened(problem)} (at line {mark.line + 1}, column {mark.column + 1})")
