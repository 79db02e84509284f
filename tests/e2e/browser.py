"""A Chromium without a screen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.requirements import need_program


@contextlib.contextmanager
def chromium(folder: Path, width: int = 1200, height: int = 900) -> Iterator[webdriver.Chrome]:
    """One with a profile in the folder; it keeps logs of its console and of its requests."""
    options = Options()
    options.binary_location = need_program("chromium")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--window-size={width},{height}", f"--user-data-dir={folder / 'profile'}", "--lang=en-GB",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(need_program("chromedriver"), log_path=str(folder / "driver.log"))
    driver = webdriver.Chrome(service=service, options=options)
    try:
        yield driver
    finally:
        driver.quit()
