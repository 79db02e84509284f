"""The picture of the page, docs/page.png: made anew where the page is another one.

What it was made of stands in the file, as a text chunk (PNG, 11.3.4.3), so that a test can tell.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zlib
from collections.abc import Iterator

from selenium.webdriver.common.by import By

from tests.e2e.agent import Agent
from tests.e2e.browser import chromium
from tests.shown.pages import ROOT
from tests.shown.scenes import DEPLOY, LOAD, WORKER
from tests.shown.stage import CGROUP, Stage, enter, stage

PICTURE = ROOT / "docs/page.png"
_PAGE = ROOT / "agentd/http/static"
_KEYWORD = b"agentd-page\0"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PASSWORD = "open sesame"
_WIDTH, _HEIGHT = 1180, 720
_LATER = "return document.querySelectorAll('.row').length > 8 && performance.now() > 20000"
"""The tree is there, and so many ms of the rate."""


def fingerprint() -> str:
    """Of the page as it is now."""
    whole = b"".join(path.read_bytes() for path in sorted(_PAGE.iterdir()))
    return hashlib.sha256(whole).hexdigest()


def fingerprint_of(picture: bytes) -> str:
    """Of the page that a picture shows; empty where it does not say."""
    for kind, data in _chunks(picture):
        if kind == b"tEXt" and data.startswith(_KEYWORD):
            return data.removeprefix(_KEYWORD).decode()
    return ""


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_SIGNATURE)
    while place < len(picture):
        (length,) = struct.unpack_from(">I", picture, place)
        data = picture[place + 8 : place + 8 + length]
        yield picture[place + 4 : place + 8], data
        place += length + 12


def _marked(picture: bytes) -> bytes:
    """With the fingerprint before the last chunk, which is empty."""
    body = b"tEXt" + _KEYWORD + fingerprint().encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return picture[:-12] + chunk + picture[-12:]


def taken(ours: Stage, agent: Agent) -> bytes:
    """A host on which something happens, in the browser of somebody who knows the password."""
    for command, name in ((WORKER, "worker"), (DEPLOY, "bash")):
        ours.cgroup.run(["/usr/bin/bash", "-c", command, name], stdout=subprocess.DEVNULL)
    load = ours.cgroup.popen(["/usr/bin/bash", "-c", LOAD], stdout=subprocess.DEVNULL)
    with chromium(ours.folder, _WIDTH, _HEIGHT) as browser:
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": agent.headers})
        browser.get("http://127.0.0.1:9847/")
        browser.find_element(By.ID, "query").send_keys(
            f"cgroup = /{CGROUP} and name != true and name != gzip and name != git"
        )
        agent.wait_until(lambda: bool(browser.execute_script(_LATER)))
        picture = bytes(browser.get_screenshot_as_png())
    load.kill()
    load.wait()
    return _marked(picture)


def take() -> None:
    """Make it, if the page has changed since."""
    if not PICTURE.exists() or fingerprint_of(PICTURE.read_bytes()) != fingerprint():
        enter("tests.shown.picture")


def main() -> None:
    """Inside the namespaces."""
    with stage() as ours, ours.agentd("--output", "none", password=_PASSWORD) as agent:
        PICTURE.write_bytes(taken(ours, agent))


if __name__ == "__main__":
    main()
