"""SIGHUP reads the configuration again."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import bcrypt

from tests.certificate import make_certificate
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, free_port, listening, running
from tests.e2e.manager import managing
from tests.requirements import need_program

SECRETS = '[redact]\npatterns = ["^hush-(?P<secret>.*)"]\n'


def _reload(agent: Agent, times: int, word: str = '"reloaded"') -> None:
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_until(lambda: agent.log().count(word) == times)


def _arguments(agent: Agent) -> list[str]:
    lines = [line for line in agent.lines() if line["event"]["action"] == "exec"]
    return [line["process"]["args"][1] for line in lines if len(line["process"]["args"]) > 1]


def test_what_can_change_does(cgroup: Cgroup, tmp_path: Path) -> None:
    """New patterns hold from then on; what needs a restart is named, and stays as it was."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    with running(tmp_path, cgroup.path, "--output", "json", "--config", str(file)) as agent:
        cgroup.run(["/bin/true", "hush-1"])
        agent.wait_for_events(2)
        file.write_text(SECRETS + "[tree]\nexited_capacity = 7\n")
        _reload(agent, 1)
        cgroup.run(["/bin/true", "hush-2"])
        agent.wait_for_events(4)
        assert '"keys": ["tree.exited_capacity"]' in agent.log()
        assert '"changed": ["redact.patterns"]' in agent.log()
        capacity = agent.metrics()["agentd_tree_capacity", (("state", "exited"),)]
        assert capacity == 4096
        agent.stop()
        assert _arguments(agent) == ["hush-1", "hush-[redacted]"]


def test_a_bad_file_changes_nothing(cgroup: Cgroup, tmp_path: Path) -> None:
    """It is told, and agentd goes on as before."""
    file = tmp_path / "agentd.toml"
    file.write_text(SECRETS)
    with running(tmp_path, cgroup.path, "--output", "json", "--config", str(file)) as agent:
        file.write_text("[redact]\npatterns = [7]\n")
        _reload(agent, 1, '"not reloaded"')
        assert f"{file}: redact.patterns" in agent.log()
        cgroup.run(["/bin/true", "hush-1"])
        agent.wait_for_events(2)
        agent.stop()
        assert _arguments(agent) == ["hush-[redacted]"]


def test_what_the_command_line_set_stays(cgroup: Cgroup, tmp_path: Path) -> None:
    """--set goes over the file, also when that is read again."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    options = ["--config", str(file), "--set", "reorder.slack_us=5"]
    with running(tmp_path, cgroup.path, *options) as agent:
        file.write_text("[reorder]\nslack_us = 900\ncapacity = 9\n")
        _reload(agent, 1)
        assert '"changed": ["reorder.capacity"]' in agent.log()
        agent.wait_until(lambda: agent.metrics()["agentd_reorder_capacity", ()] == 9)


def test_what_goes_out(cgroup: Cgroup, tmp_path: Path) -> None:
    """Another filter holds from the next event on."""
    file = tmp_path / "agentd.toml"
    file.write_text("""[output]\nfilter = 'args ~ "one"'\n""")
    with running(tmp_path, cgroup.path, "--output", "json", "--config", str(file)) as agent:
        cgroup.run(["/bin/true", "one", "before"])
        cgroup.run(["/bin/true", "two", "before"])
        agent.wait_for_events(4)
        file.write_text("""[output]\nfilter = 'args ~ "two"'\n""")
        _reload(agent, 1)
        assert '"changed": ["output.filter"]' in agent.log()
        cgroup.run(["/bin/true", "one", "after"])
        cgroup.run(["/bin/true", "two", "after"])
        agent.wait_for_events(8)
        agent.stop()
        words = [line["process"]["args"][1:] for line in agent.lines()]
        assert words == [["one", "before"]] * 2 + [["two", "after"]] * 2


def test_how_much_is_logged(cgroup: Cgroup, tmp_path: Path) -> None:
    """The level of the log can be changed, and changed back."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    with running(tmp_path, cgroup.path, "--config", str(file)) as agent:
        file.write_text('[log]\nlevel = "warning"\n[tree]\nexited_capacity = 7\n')
        _reload(agent, 1, '"needs a restart"')
        file.write_text("")
        _reload(agent, 1)
        assert agent.log().count('"needs a restart"') == 1


def test_passwords_and_certificates(cgroup: Cgroup, tmp_path: Path) -> None:
    """A renewed certificate and another password hold after a reload; a bad one changes nothing."""
    curl = need_program("curl")
    web_config, file = tmp_path / "web-config.yml", tmp_path / "agentd.toml"
    file.write_text(f'[metrics]\nweb_config = "{web_config}"\n')

    def say(password: str) -> None:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        web_config.write_text(
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
            f"basic_auth_users: {{alice: {hashed!r}}}\n"
        )

    make_certificate(tmp_path)
    say("open")
    port = free_port()
    with listening(tmp_path, cgroup.path, port, "--config", str(file)) as agent:

        def ask(password: str) -> str:
            """The status, once somebody listens; 000 if the certificate is not believed."""
            url = f"https://127.0.0.1:{port}/readyz"
            command = [curl, "-s", "--cacert", str(tmp_path / "cert.pem"), "-o", "/dev/null"]
            command += ["-u", f"alice:{password}", "-w", "%{http_code}", url]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout

        agent.wait_until(lambda: ask("open") == "200")
        make_certificate(tmp_path)
        say("sesame")
        assert ask("open") == "000"  # the old certificate still
        _reload(agent, 1)
        sections = ("basic_auth_users", "tls_server_config")
        names = ", ".join(f'"metrics.web_config:{section}"' for section in sections)
        assert f'"changed": [{names}]' in agent.log()
        agent.wait_until(lambda: ask("sesame") == "200")
        assert ask("open") == "401"
        web_config.write_text("basic_auth_users: {alice: open}\n")
        _reload(agent, 1, '"not reloaded"')
        assert "basic_auth_users.alice: must be a bcrypt hash" in agent.log()
        web_config.write_text("")  # by an editor that has just begun to write it
        _reload(agent, 2, '"not reloaded"')
        assert "asks no longer for TLS and passwords" in agent.log()
        assert ask("sesame") == "200"


def test_without_a_file_there_is_nothing_to_reload(cgroup: Cgroup, tmp_path: Path) -> None:
    """It says so, and goes on."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        _reload(agent, 1, '"nothing to reload"')
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        assert agent.stop() == 0


def test_a_terminal_that_goes_away_ends_it(cgroup: Cgroup) -> None:
    """Then SIGHUP means what it says."""
    leader, follower = pty.openpty()
    command = [AGENTD, "run", "--set", f"filter.cgroup={cgroup.path}", "--set", "metrics.listen="]
    with subprocess.Popen(
        # whoever runs the tests may have SIGHUP ignored, as nohup does
        ["setsid", "--ctty", "--wait", "env", "--default-signal=HUP", *command],
        stdin=follower, stdout=follower, stderr=follower,
    ) as process:  # fmt: skip
        os.close(follower)
        seen = b""
        while b"ready" not in seen:
            seen += os.read(leader, 65536)
        os.close(leader)
        process.wait(ENOUGH_SECONDS)


def test_the_service_manager_hears_of_it(cgroup: Cgroup, tmp_path: Path) -> None:
    """RELOADING, since when, and READY again, with how it is going (Type=notify-reload)."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    settings = (f"filter.cgroup={cgroup.path}", "metrics.listen=", "control.socket=")
    options = [word for setting in settings for word in ("--set", setting)]
    with managing(tmp_path, "--output", "json", "--config", str(file), *options) as manager:
        manager.start()
        before = time.monotonic_ns() // 1000
        assert manager.process is not None
        manager.process.send_signal(signal.SIGHUP)
        manager.wait_until_told("READY=1", 2)
        told = manager.told[manager.told.index("RELOADING=1") :]
        since = told[1].removeprefix("MONOTONIC_USEC=")
        assert before <= int(since) <= time.monotonic_ns() // 1000
        assert told[2] == "READY=1"
        assert told[3].startswith("STATUS=")
        assert '"reloaded"' in manager.log()
