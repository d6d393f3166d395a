"""make check fails on a known vulnerability, and reports when the service is unreachable."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import pytest

AUDIT = Path(__file__).parents[2] / "docker" / "audit.py"

needs_pip_audit = pytest.mark.skipif(
    find_spec("pip_audit") is None, reason="pip-audit comes with the extra dev"
)
CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": []}]}


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "said"),
    [
        (json.dumps({"dependencies": [CLEAN]}), "", 0, "no known vulnerabilities in 1 pinned"),
        (json.dumps({"dependencies": [CLEAN, BAD]}), "", 1, "x 1: CVE-1, no fix"),
        ("", "x\nrequests.exceptions.ConnectionError: refused", 0, "WARNING: NOT AUDITED"),
        ("", "ERROR: no such requirement", 1, "the audit failed: ERROR: no such requirement"),
        ("", "", 1, "the audit failed: pip-audit said nothing"),
        ("[]", "", 1, "the audit failed"),
    ],
)
def test_only_a_known_vulnerability_or_a_failure_fails(
    stdout: str, stderr: str, code: int, said: str
) -> None:
    verdict = run_path(str(AUDIT))["verdict"]
    assert (verdict(stdout, stderr)[0], said in verdict(stdout, stderr)[1]) == (code, True)


class FakeServer(HTTPServer):
    """A server with one vulnerable package, if it is named."""

    bad: str | None = None


class FakeService(BaseHTTPRequestHandler):
    """A fake of OSV's API that knows one vulnerability."""

    server: FakeServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
        bad = {"id": "PYSEC-0000-1", "summary": "x", "affected": affected}
        is_bad = name == self.server.bad
        answer = json.dumps({"vulns": [bad]} if is_bad else {}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[FakeServer]:
    server = FakeServer(("127.0.0.1", 0), FakeService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def audit(*args: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, AUDIT, *args], env=environment, capture_output=True, text=True
    )


@needs_pip_audit
def test_no_known_vulnerability_passes(service: FakeServer) -> None:
    done = audit("--osv-url", f"http://127.0.0.1:{service.server_port}/")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no known vulnerabilities in" in done.stdout


@needs_pip_audit
def test_a_known_vulnerability_fails_with_its_fix(service: FakeServer) -> None:
    service.bad = "jinja2"
    done = audit("--osv-url", f"http://127.0.0.1:{service.server_port}/")
    assert done.returncode == 1
    assert "PYSEC-0000-1, fixed in 99.1" in done.stderr
    assert done.stderr.startswith("audit: jinja2 ")


@needs_pip_audit
def test_a_service_out_of_reach_is_a_warning_and_passes() -> None:
    done = audit("--osv-url", "http://127.0.0.1:9/")  # nothing listens there
    assert done.returncode == 0
    assert "WARNING: NOT AUDITED: the vulnerability service cannot be reached" in done.stderr


@needs_pip_audit
def test_any_other_failure_fails() -> None:
    done = audit("--no-such-option")
    assert done.returncode == 1
    assert "the audit failed" in done.stderr
