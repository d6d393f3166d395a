"""Ask OSV (osv.dev) for known vulnerabilities of the pinned packages: docker/audit.py [ARGS].

Exit code 0: none is known, or the service cannot be reached, which is reported; 1: some are known,
or the audit itself failed. ARGS go to pip-audit, such as --ignore-vuln ID.
"""

import json
import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from pathlib import Path

# The two nosec: pip-audit is run without a shell, on constants and what the developer typed.
PINS = Path(__file__).with_name("constraints.txt")
AUDIT = ["--vulnerability-service", "osv", "--requirement", str(PINS), "--no-deps", "--disable-pip"]
FORM = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
# pip-audit ends with 1 for these too; they name what its HTTP library raised.
UNREACHABLE = (
    "requests.exceptions.ConnectionError",
    "requests.exceptions.ConnectTimeout",
    "requests.exceptions.ProxyError",
    "requests.exceptions.ReadTimeout",
    "requests.exceptions.SSLError",
    "Could not connect to",
    "ServiceError",
)


def verdict(stdout: str, stderr: str) -> tuple[int, str]:
    """Return the exit code and the message, from pip-audit's output."""
    try:
        audited = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = (stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        if any(sign in stderr for sign in UNREACHABLE):
            return 0, (
                "WARNING: NOT AUDITED: the vulnerability service cannot be reached, so nobody "
                f"looked for known vulnerabilities; repeat `make check` online ({said})"
            )
        return 1, f"the audit failed: {said}"
    known = [
        f"{package['name']} {package['version']}: {found['id']}, "
        + (f"fixed in {', '.join(found['fix_versions'])}" if found["fix_versions"] else "no fix")
        for package in audited
        for found in package.get("vulns", [])
    ]
    if known:
        return 1, "\n".join(
            [*known, "known vulnerabilities: raise these pins, see constraints.txt"]
        )
    return 0, f"no known vulnerabilities in {len(audited)} pinned packages"


def main(argv: Sequence[str]) -> int:
    """Audit the pins."""
    command = [sys.executable, "-m", "pip_audit", *AUDIT, *FORM, *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603
    code, said = verdict(done.stdout, done.stderr)
    print(f"audit: {said}", file=sys.stderr if code or "NOT AUDITED" in said else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
