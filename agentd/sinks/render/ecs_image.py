"""What a process runs, as pieces of a line of ecs.py."""

from __future__ import annotations

from typing import TypeAlias

from agentd.core.tree.process import Image, Key, Notes
from agentd.sinks.render.json_text import quoted, raw_parts

ImageParts: TypeAlias = tuple[str, str, str]
"""Members of ``process``, of ``agentd.raw``, and of ``agentd`` with a comma before them."""


def render_parent(entity: str, key: Key, image: Image | None) -> str:
    """A member of ``process``; a blank, which JSON ignores, where nobody started it."""
    tgid, start_ns = key
    if not tgid:
        return " "
    known = ""
    if image is not None:
        known = f',"name":{quoted(image.name)}'
        if image.executable:
            known += f',"executable":{quoted(image.executable)}'
    return f',"parent":{{"pid":{tgid},"entity_id":"{entity}-{tgid}-{start_ns}"{known}}}'


def split_args(args: bytes) -> list[bytes]:
    """The arguments, one by one; the last may be cut."""
    parts = args.split(b"\0")
    return parts[:-1] if parts[-1] == b"" else parts


def render_image(image: Image) -> ImageParts:
    """The parts of what a process runs."""
    text = f'"name":{quoted(image.name)},'
    if image.executable:
        text += f'"executable":{quoted(image.executable)},'
    if image.args_count and image.notes & Notes.ARGS_FORGOTTEN:
        text += f'"args_count":{image.args_count},'
    elif image.args_count:
        args = ",".join(map(quoted, split_args(image.args)))
        text += f'"args":[{args}],"args_count":{image.args_count},'
    values = {"name": image.name, "executable": image.executable, "args": image.args}
    return text, raw_parts(values), _noted(image.notes) if image.notes else ""


def _noted(notes: int) -> str:
    """Members of ``agentd``: who says what runs, and what of it there was no room or time for."""
    text = ',"source":"proc"' if notes & Notes.FROM_PROC else ""
    if notes & Notes.ARGS_FORGOTTEN:
        executable = ',"executable"' if notes & Notes.EXECUTABLE_FORGOTTEN else ""
        text += f',"forgotten":["args"{executable}]'
    return f'{text},"redaction":"incomplete"' if notes & Notes.REDACTION_INCOMPLETE else text


def render_before(image: Image) -> str:
    """A member of ``agentd``: what a process ran by all that was known."""
    text, raw, notes = render_image(image)
    inside = f',"raw":{{{raw}}}' if raw else ""
    return f',"before":{{{text.removesuffix(",")}{notes}{inside}}}'
