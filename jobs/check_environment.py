"""Check what a run needs: Python, Java, Spark, Delta, the workers, memory, disk, the config.

Reads    the config, and the schema of its pool
Writes   a tiny Delta table in a temporary folder, removed again
Method   each check is independent, so one broken thing does not hide another; ``jobs.environment``
Run      evenlake doctor --config conf/quickstart.yaml
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

# Nothing from Evenlake is imported above ``main``: another package may have taken its name.
HOME = Path(__file__).resolve().parents[1]
_MARKS = {"jobs": "check_environment", "udfs": "kernels"}  # modules that only Evenlake's own have


def check_code() -> list[tuple[str, str]]:
    """Check whether ``jobs`` and ``udfs`` are Evenlake's own.

    Returns
    -------
    findings : (status, what was found) for each
    """
    return [_check_package(name) for name in _MARKS]


def _check_package(name: str) -> tuple[str, str]:
    own = str(HOME / name)
    places = _places(name)
    if not places:
        return "FAIL", f"no package {name} on sys.path; want {own}; put {HOME} on PYTHONPATH"
    if str(Path(places[0]).resolve()) == own:
        return "ok", f"{name} is {own}"
    if PathFinder.find_spec(_MARKS[name], places) is not None:
        found = f"{name} is another copy of Evenlake, {places[0]}"
        return "warning", f"{found}; want {own}; leave one of them on sys.path"
    fix = f"put {HOME} first on PYTHONPATH, or take {Path(places[0]).parent} off it"
    return "FAIL", f"{name} is another package, {places[0]}; want {own}; {fix}"


def _places(name: str) -> list[str]:
    """Return where an import would find a package now, regardless of earlier imports."""
    # a package that is not on sys.path may come from an editable install
    spec = PathFinder.find_spec(name) or find_spec(name)
    if spec is None:
        return []
    return list(spec.submodule_search_locations or [str(spec.origin)])


def main(argv: Sequence[str] | None = None) -> int:
    """Check what a run needs: one line per check, and exit code 1 if any fails."""
    parser = argparse.ArgumentParser(
        prog="evenlake doctor",
        description=main.__doc__,
        epilog="key.sub=value overrides any key of the config.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", "-c", help="YAML file; without one, no pool is checked")
    arguments, overrides = parser.parse_known_args(argv)
    code = check_code()
    for status, found in code:
        _say(f"{status:<8} code: {found}")
    if any(status == "FAIL" for status, _ in code):
        _say("skipped  everything else: the checks are code of Evenlake's")
        return 1
    from jobs.environment.checkup import check_up

    is_well = True
    for finding in check_up(arguments.config, overrides):
        _say(str(finding))
        is_well = is_well and not finding.is_failure
    return 0 if is_well else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
