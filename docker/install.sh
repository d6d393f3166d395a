#!/bin/sh
# Install Evenlake with its tested versions into a virtual environment.
#
#   docker/install.sh [--editable] PREFIX [EXTRAS]     EXTRAS, by commas: local (the default), test, dev, bench
#
# With the extra `local`, Spark is made ready too: Java is found or installed, and Delta's jars are
# fetched. The image, `make` and a bare machine run these same steps; repeating them is harmless.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")

say() { echo "evenlake: $*" >&2; }
fail() { say "$*"; exit 1; }

# 1. arguments
editable=
if [ "${1:-}" = --editable ]; then editable=--editable; shift; fi
[ $# -ge 1 ] || fail "usage: docker/install.sh [--editable] PREFIX [EXTRAS]"
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
extras=${2:-local}

# 2. an interpreter: $PYTHON, or the first that will do
find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.11 python3.12 python3; fi
    for python in "$@"; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null
        then echo "$python"; return; fi
    done
    fail "Python 3.11 or 3.12 is needed; tried: $*. Name one: PYTHON=/path/to/python3.11 make ..."
}

# 3. Java, where Spark is asked for: before any long download
needs_spark=false
case ",$extras," in *,local,*) needs_spark=true ;; esac
if $needs_spark; then
    JAVA_HOME=$("$here/java.sh")
    export JAVA_HOME
fi

# 4. a virtual environment
if ! "$prefix/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    # Debian keeps ensurepip, which venv needs, in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        venv=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        "$here/apt.sh" "$venv" || fail "$python cannot make a virtual environment." \
            "Install one package, then repeat the command: sudo apt-get install $venv"
    fi
    say "virtual environment $prefix ($("$python" --version))"
    "$python" -m venv "$prefix"
fi

# 5. packages
say "Python packages [$extras]; Spark alone is 450 MB, so the first time takes minutes"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$prefix/bin/python" -m pip install --quiet --use-pep517 --constraint "$here/constraints.txt" \
    ${editable:+"$editable"} "${project}[$extras]"

# 6. Delta's jars, proved by a first session
$needs_spark || exit 0
say "first Spark session; Delta's jars (90 MB) are fetched once, into ~/.ivy2.5.2"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cd "$prefix"  # so that the installed package is what runs
if ! probe=$(bin/python -m jobs.spark.session 2>"$log"); then
    cat "$log" >&2
    fail "the first Spark session failed, for the reason above; put it right and repeat the command"
fi
say "$probe"
