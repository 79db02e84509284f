"""``python -m tests.shown``: play all scenes, and write what they show into the pages."""

from __future__ import annotations

from tests.shown import picture
from tests.shown.pages import write
from tests.shown.play import played

if __name__ == "__main__":
    write(played().shown)
    picture.take()
