"""The page at /, in a real browser."""

from __future__ import annotations

import contextlib
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.cgroup import Cgroup
from tests.e2e.agent import Agent, running, users_file
from tests.e2e.browser import chromium

PASSWORD = "open sesame"
EVIL = "<img src=x onerror=document.title=1>"
FAMILY = f"bash -c 'sleep 1000 & sleep 1000 & sleep 1000 & (exit 3); kill -9 $BASHPID' '{EVIL}'; :"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A new one."""
    with chromium(tmp_path) as driver:
        yield driver


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """One that asks for a password, and has seen a family.

    The father's name tries to be more than a name.
    """
    web_config = tmp_path / "web-config.yml"
    web_config.write_text(users_file(PASSWORD))
    options = ("--output", "json", "--set", f"metrics.web_config={web_config}")
    with running(tmp_path, cgroup.path, *options, password=PASSWORD) as agent:
        cgroup.run(["/bin/sh", "-c", FAMILY, "head"], stdout=subprocess.DEVNULL)
        agent.wait_for_events(13)
        yield agent


class Page:
    """What a person sees."""

    def __init__(self, browser: webdriver.Chrome, agent: Agent) -> None:
        self.browser = browser
        self._agent = agent
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": agent.headers})
        browser.get(f"http://127.0.0.1:{agent.port}/")

    def text(self, element: str) -> str:
        """What an element shows."""
        return str(self.browser.find_element(By.ID, element).text)

    def rows(self) -> list[str]:
        """The lines of the tree."""
        # in one step: the page may draw them anew at any moment
        script = "return [...document.querySelectorAll('.row')].map((row) => row.textContent)"
        return [str(text) for text in self.browser.execute_script(script)]

    def search(self, text: str) -> None:
        """Type it into the field, which was empty or not."""
        field = self.browser.find_element(By.ID, "query")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.DELETE)
        field.send_keys(text)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        self._agent.wait_until(condition)

    def complaints(self) -> list[Any]:
        """What the browser's console says against the page."""
        log: list[Any] = self.browser.get_log("browser")
        return log


def test_status_and_tree(browser: webdriver.Chrome, agent: Agent, cgroup: Cgroup) -> None:
    """Figures of the daemon, the family as a tree; names are text, whatever they say."""
    page = Page(browser, agent)
    page.wait_until(lambda: page.text("word") == "well")
    page.wait_until(lambda: page.text("rate") != "–")
    assert page.text("lost") == "0"
    assert f"of {agent.events_total()} events" in page.text("lost-more")
    page.search(f'cgroup = "{cgroup.path}"')
    page.wait_until(lambda: len(page.rows()) == 4)
    head, father, *children = page.rows()
    assert head.endswith("[status 0]")
    assert EVIL in father
    assert father.startswith("└─")
    assert father.endswith("[signal 9]")
    assert any("3 × " in row and row.endswith("/usr/bin/sleep 1000") for row in children)
    assert browser.title == "agentd"
    assert page.complaints() == []


def test_search(browser: webdriver.Chrome, agent: Agent) -> None:
    """Words keep the lines above what they find; a filter is the daemon's; a bad one is told."""
    page = Page(browser, agent)
    page.search("usr/bin/sleep 1000")
    page.wait_until(lambda: bool(re.fullmatch(r"3 of \d+ processes", page.text("message"))))
    assert any("3 × " in row for row in page.rows())
    page.search("signal = 9")
    page.wait_until(lambda: len(page.rows()) == 1)
    page.search("signal = ")
    page.wait_until(lambda: "filter, column" in page.text("message"))
    page.search("")
    page.wait_until(lambda: len(page.rows()) > 4)


def test_everything_about_one(browser: webdriver.Chrome, agent: Agent) -> None:
    """A click on a line opens what is known of the process; another closes it."""
    page = Page(browser, agent)
    page.search("signal = 9")
    page.wait_until(lambda: len(page.rows()) == 1)
    browser.execute_script("document.querySelector('.row').click()")
    page.wait_until(lambda: "entity" in str(page.browser.find_element(By.ID, "tree").text))
    (about,) = browser.find_elements(By.CLASS_NAME, "about")
    assert "[signal 9]" in about.text
    assert "→" in about.text
    browser.execute_script("document.querySelector('.row').click()")
    page.wait_until(lambda: not browser.find_elements(By.CLASS_NAME, "about"))


def test_what_happens_is_shown(browser: webdriver.Chrome, agent: Agent, cgroup: Cgroup) -> None:
    """A process that begins appears, one that ends goes where the exited are not wanted."""
    page = Page(browser, agent)
    page.search("2222.5")  # digits alone may be those of a pid
    browser.find_element(By.ID, "show-exited").click()
    page.wait_until(lambda: page.text("message").startswith("0 of"))
    process = cgroup.popen(["/bin/sleep", "2222.5"])
    page.wait_until(lambda: any("sleep 2222.5" in row for row in page.rows()))
    process.kill()
    process.wait()
    page.wait_until(lambda: not page.rows())
    agent.stop()
    page.wait_until(lambda: page.text("word") == "no answer")


def test_what_everybody_is_shown(browser: webdriver.Chrome, cgroup: Cgroup, tmp_path: Path) -> None:
    """Without a password: how it goes, and no process; and that says so."""
    options = ("--output", "none", "--set", "metrics.page=on")
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/true", "4444"])
        agent.wait_for_events(2)
        page = Page(browser, agent)
        page.wait_until(lambda: "metrics.web_config" in page.text("locked"))
        page.wait_until(lambda: page.text("word") == "well")
        assert not page.rows()
        assert not browser.find_element(By.ID, "query").is_displayed()


def test_on_a_phone(browser: webdriver.Chrome, agent: Agent) -> None:
    """Nothing but the tree itself is wider than a small screen."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 700, "deviceScaleFactor": 2, "mobile": True},
    )
    page = Page(browser, agent)
    page.wait_until(lambda: bool(page.rows()))
    width = "return [document.documentElement.scrollWidth, window.innerWidth]"
    whole, screen = browser.execute_script(width)
    assert whole <= screen == 360


def _status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code


def test_who_may_see_it(tmp_path: Path, cgroup: Cgroup) -> None:
    """Without a password the page is there only if it is asked for, and shows no process."""
    for page, seen in (("auto", 404), ("off", 404), ("on", 200)):
        options = ("--output", "none", "--set", f"metrics.page={page}")
        with running(tmp_path, cgroup.path, *options) as agent:
            assert [agent.get(path)[0] for path in ("/", "/v1/status")] == [seen] * 2
            locked = 403 if page == "on" else 404
            for path in ("/v1/processes", f"/v1/explain?id={agent.process.pid}"):
                assert agent.get(path)[0] == locked
            assert agent.get("/v1/follow")[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/v1/status", "/v1/processes"])
def test_other_sites_are_refused(agent: Agent, path: str) -> None:
    """Whatever page makes a browser ask, and whoever has led a name of theirs to our address."""
    url = f"http://127.0.0.1:{agent.port}{path}"
    own = f"http://127.0.0.1:{agent.port}"
    assert _status(url, **agent.headers) == 200
    assert _status(url, Origin=own, **agent.headers) == 200
    assert _status(url, Origin="http://evil.example", **agent.headers) == 403
    assert _status(url, **{"Sec-Fetch-Site": "cross-site"}, **agent.headers) == 403


def test_other_names_are_refused(tmp_path: Path, cgroup: Cgroup) -> None:
    """Where no password is asked for, by every answer."""
    with running(tmp_path, cgroup.path, "--output", "none", "--set", "metrics.page=on") as agent:
        for path in ("/", "/metrics", "/healthz", "/readyz", "/v1/status"):
            url = f"http://127.0.0.1:{agent.port}{path}"
            assert _status(url, Host=f"localhost:{agent.port}") == 200
            assert _status(url, Host="evil.example") == 403
            assert _status(url, Host="9" * 5000) == 403
