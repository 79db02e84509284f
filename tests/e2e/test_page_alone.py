"""The page loads nothing from elsewhere: it does not ask, and the browser would refuse."""

from __future__ import annotations

import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.cgroup import Cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, running, users_file
from tests.e2e.browser import chromium

PASSWORD = "open sesame"
LOADED = """
const done = arguments[arguments.length - 1], refused = [];
document.addEventListener('securitypolicyviolation', (event) => {
    refused.push(event.effectiveDirective);
    if (refused.length == 4) done(refused.sort());
});
for (const [kind, place] of [['img', 'src'], ['script', 'src'], ['link', 'href']]) {
    const element = document.createElement(kind);
    if (kind == 'link') element.rel = 'stylesheet';
    element[place] = ELSEWHERE;
    document.head.append(element);
}
fetch(ELSEWHERE).catch(() => {});
"""


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """One that asks for a password, and has seen a process."""
    web_config = tmp_path / "web-config.yml"
    web_config.write_text(users_file(PASSWORD))
    options = ("--output", "json", "--set", f"metrics.web_config={web_config}")
    with running(tmp_path, cgroup.path, *options, password=PASSWORD) as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        yield agent


@pytest.fixture
def browser(agent: Agent, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """One that shows the page, tree and all."""
    with chromium(tmp_path) as driver:
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": agent.headers})
        driver.get(f"http://127.0.0.1:{agent.port}/")
        agent.wait_until(
            lambda: bool(driver.execute_script("return document.querySelector('.row')"))
        )
        yield driver


def test_each_answer_forbids_it(agent: Agent) -> None:
    """Page, style, script and data come with a policy that allows this origin alone."""
    for path in ("/", "/page.css", "/page.js", "/v1/status"):
        url = f"http://127.0.0.1:{agent.port}{path}"
        request = urllib.request.Request(url, headers=agent.headers)
        with urllib.request.urlopen(request, timeout=ENOUGH_SECONDS) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
        assert rules.pop("default-src") == "'none'"
        assert set(rules.values()) <= {"'none'", "'self'", "data:"}


def test_it_asks_nobody_else(agent: Agent, browser: webdriver.Chrome) -> None:
    """Each request of the page goes to the address that it came from."""
    log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [entry["params"] for entry in log if entry["method"] == "Network.requestWillBeSent"]
    page = f"http://127.0.0.1:{agent.port}/"
    own = [request["request"]["url"] for request in sent if request["documentURL"] == page]
    places = {urllib.parse.urlsplit(url)[:2] for url in own if not url.startswith("data:")}
    paths = {urllib.parse.urlsplit(url).path for url in own}
    assert places == {("http", f"127.0.0.1:{agent.port}")}
    assert {"/", "/page.css", "/page.js", "/v1/status", "/v1/processes"} <= paths


def test_the_browser_would_refuse(browser: webdriver.Chrome) -> None:
    """A picture, a script, a style or an answer of another origin is not even asked for."""
    browser.set_script_timeout(ENOUGH_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x"
        refused = browser.execute_async_script(LOADED.replace("ELSEWHERE", json.dumps(url)))
        assert refused == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
        elsewhere.settimeout(0)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
