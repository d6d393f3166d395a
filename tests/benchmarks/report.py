"""The results as Markdown tables."""

from typing import Any

from tests.benchmarks.balance import N_PICKS, ROUNDS, SEEDS, UPPER
from tests.benchmarks.tasks import ITERATIONS

Row = dict[str, Any]

_COLUMNS = (
    "rival", "n", "k", "time, s", "iterations", f"{ITERATIONS} iterations, s", "times Evenlake",
    "us per point", "inertia per point", "with every point at its nearest", "KL",
    "peak RSS, GiB: all", "Python", "JVM", "largest worker",
)  # fmt: skip
_PASS_COLUMNS = ("n", "k", "time, s", "GFLOP/s", "of the sgemm peak", "largest worker, GiB")


def as_markdown(results: dict[str, Row]) -> str:
    """Return every scenario's tables, one section each."""
    return "# Benchmarks\n\n" + "\n".join(_section(name, r) for name, r in results.items())


def _section(name: str, result: Row) -> str:
    lines = [f"## {name}: {result['what']}", ""]
    machine = " · ".join(f"{key} {value}" for key, value in result["machine"].items())
    settings = "; ".join(
        f"{who} " + " ".join(f"{k}={v}" for k, v in env.items())
        for who, env in result["settings"].items()
    )
    settings += "".join(f"; mllib {name}" for name in _blas_of_mllib(result["rows"]))
    lines += [machine, "", f"Best of the BLAS settings tried: {settings}.", ""]
    passes = [row for row in result["rows"] if row["rival"] == "assignment"]
    if passes:
        lines += _table(_PASS_COLUMNS, [_pass_cells(r, result["peak_flops"]) for r in passes])
    fits = [row for row in result["rows"] if row["rival"] != "assignment"]
    if fits:
        lines += _table(_COLUMNS, [_fit_cells(row, evenlakes_time(row, fits)) for row in fits])
    lines += [_flat_line(n, d, k, result) for n, d, k in _problems(fits)]
    lines += [
        f"- {r['rival']} at n={r['n_points']:,}, k={r['n_clusters']:,} failed: {r['note']}"
        for r in result["rows"]
        if r["status"] == "failed"
    ]
    return "\n".join([*lines, _notes(result), ""])


def _blas_of_mllib(rows: list[Row]) -> list[str]:
    """Return the classes MLlib multiplied with, without their packages."""
    classes = {(row.get("figures") or {}).get("blas") for row in rows} - {None}
    return sorted(name.rpartition(".")[2] for name in classes)


def _notes(result: Row) -> str:
    subsample = [row for row in result["rows"] if row.get("n_nearest")]
    over = {f"{row['n_nearest']:,} of {row['n_points']:,}" for row in subsample}
    nearest = f" The nearest centroid is looked up for {', '.join(sorted(over))}." if over else ""
    return (
        f"\nMedians of {result['repeats']} runs, each in a process of its own; peak RSS is the "
        f"largest of the runs. >= marks the time limit of {result['time_limit']:.0f} s. Times "
        "include the assignment of every point; Evenlake's are the stage's seconds, packing and "
        "table writes included. (scaled): by the rival's own time per iteration. Inertia is "
        f"float64 over all points, each at the centroid that the rival assigned it to.{nearest} "
        f"{_balance_note(result['rows'])}Iterations are those of the last run; `all` counts pages "
        "that processes share once each.\n"
    )


def _balance_note(rows: list[Row]) -> str:
    """Explain what KL measures and what a uniform draw scores, if anything was scored."""
    uniform = {r["n_points"]: r["uniform_kl"] for r in rows if r.get("uniform_kl") is not None}
    if not uniform:
        return ""
    pools = ", ".join(f"{kl:.2f} at n={n:,}" for n, kl in sorted(uniform.items()))
    upper = " and ".join(f"{n_nodes:,}" for n_nodes in UPPER)
    return (
        f"KL is to uniform over the planted concepts, of {N_PICKS:,} picks: Evenlake's solver puts "
        f"levels of {upper} nodes (those below k; {ROUNDS} resampling rounds) on every rival's "
        f"clusters alike, quotas are equal shares, nothing of it is timed; mean of {len(SEEDS)} "
        f"seeds. As many uniform picks have {pools}. "
    )


def _problems(rows: list[Row]) -> list[tuple[int, int, int]]:
    return sorted({(r["n_points"], r["n_features"], r["n_clusters"]) for r in rows})


def flat_seconds(n: int, d: int, k: int, peak_flops: float) -> float:
    """Return the seconds of ITERATIONS flat assignment passes at the sgemm peak."""
    return 2.0 * n * d * k * ITERATIONS / peak_flops


def _flat_line(n: int, d: int, k: int, result: Row) -> str:
    peak = result["peak_flops"]
    line = (
        f"- {ITERATIONS} flat iterations at the sgemm peak ({peak / 1e9:.0f} GFLOP/s), "
        f"n={n:,}, k={k:,}: {flat_seconds(n, d, k, peak):.1f} s"
    )
    own = evenlakes_time({"n_points": n, "n_clusters": k}, result["rows"])
    return line + (f", {flat_seconds(n, d, k, peak) / own:.2f} times Evenlake" if own else "")


def evenlakes_time(row: Row, rows: list[Row]) -> float | None:
    """Return Evenlake's seconds on a row's problem, if it finished."""
    for other in rows:
        is_same = all(other[key] == row[key] for key in ("n_points", "n_clusters"))
        if other["rival"] == "evenlake" and other["status"] == "done" and is_same:
            return float(other["seconds"])
    return None


def _fit_cells(row: Row, evenlake: float | None) -> list[str]:
    seconds, bound = row.get("seconds"), ">= " if row["status"] == "over" else ""
    at_ten, ran = row.get("at_ten"), row.get("ran", "")
    compared = at_ten or seconds
    per_point = 1e6 * seconds / row["n_points"] if seconds else None
    is_scaled = at_ten is not None and ran != str(ITERATIONS)
    return [
        row["rival"],
        f"{row['n_points']:,}",
        f"{row['n_clusters']:,}",
        _number(seconds, ".1f", bound) if seconds else row["status"],
        ran,
        _number(at_ten, ".1f") + (" (scaled)" if is_scaled else ""),
        _number(compared / evenlake if compared and evenlake else None, ".2f", bound),
        _number(per_point, ".1f", bound),
        _number(row.get("inertia"), ".6f"),
        _number(row.get("nearest_inertia"), ".6f"),
        _number(row.get("kl"), ".3f"),
        *(_gib(row, role) for role in ("all", "python", "jvm", "worker")),
    ]


def _pass_cells(row: Row, peak_flops: float) -> list[str]:
    flops = (row.get("figures") or {}).get("flops")
    return [
        f"{row['n_points']:,}",
        f"{row['n_clusters']:,}",
        _number(row.get("seconds"), ".3f") or row["status"],
        _number(flops and flops / 1e9, ".0f"),
        _number(flops and flops / peak_flops, ".0%"),
        _gib(row, "worker"),
    ]


def _gib(row: Row, role: str) -> str:
    rss = row["peak_rss"].get(role)
    return f"{rss / 2**30:.2f}" if rss else ""


def _number(value: float | None, form: str, prefix: str = "") -> str:
    return "" if value is None else prefix + format(value, form)


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    head = [" | ".join(columns), "|".join(["---"] * len(columns))]
    return [f"| {line} |" for line in [*head, *(" | ".join(row) for row in rows)]] + [""]
