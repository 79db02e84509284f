"""agentd/log/setup.py: what stands on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orjson
import pytest
import structlog

from agentd.log.setup import configure_log, set_level


@pytest.fixture(autouse=True)
def _log_put_back() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("log_format", ["auto", "json"])
def test_the_log_is_json_where_nobody_watches(
    capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    """Off a terminal each line on standard error is one JSON object with level and time."""
    configure_log("info", log_format)[0].info("ready", text="two\nlines", raw=b"\xff")
    out, err = capfd.readouterr()
    (line,) = err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["text"]) == ("ready", "info", "two\nlines")
    assert said["timestamp"].endswith("Z")
    assert out == ""


def test_the_log_for_people_has_no_escapes_in_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    """Off a terminal the console format has no colours."""
    configure_log("info", "console")[0].info("ready", processes=3)
    err = capfd.readouterr().err
    assert "processes=3" in err
    assert "\x1b" not in err


def test_a_sentence_stands_for_the_lines_name(capfd: pytest.CaptureFixture[str]) -> None:
    """People read it; programs find both."""
    configure_log("info", "console")[0].info("events lost", message="3 events lost on cpu 1")
    assert "3 events lost on cpu 1" in (shown := capfd.readouterr().err)
    assert "message=" not in shown
    structlog.reset_defaults()
    configure_log("info", "json")[0].info("events lost", message="3 events lost on cpu 1")
    said = json.loads(capfd.readouterr().err)
    assert (said["event"], said["message"]) == ("events lost", "3 events lost on cpu 1")


def test_what_is_below_the_level_is_not_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Of four severities only those at and above the level come out."""
    log, _ = configure_log("warning", "json")
    for severity in ("debug", "info", "warning", "error"):
        getattr(log, severity)(severity)
    lines = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["warning", "error"]


def test_another_level(capfd: pytest.CaptureFixture[str]) -> None:
    """It holds for loggers that are there already."""
    logger, _ = configure_log("info", "json")
    set_level("error")
    logger.warning("unseen")
    logger.error("seen")
    set_level("debug")
    logger.debug("seen, too")
    told = capfd.readouterr().err
    assert "unseen" not in told
    assert told.count("seen") == 2


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_lines_are_text(capfd: pytest.CaptureFixture[str], log_format: str) -> None:
    """What a careless reader made of foreign bytes leaves as U+FFFD, at any depth."""
    log, _ = configure_log("info", log_format)
    log.info("a\udcff", paths=["/b\udcff"], where={"c\ud800": 1})
    err = capfd.readouterr().err
    assert "udc" not in err.lower()
    assert "ud800" not in err
    if log_format == "json":
        said = orjson.loads(err)
        assert (said["event"], said["paths"]) == ("a\ufffd", ["/b\ufffd"])
