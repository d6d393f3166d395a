"""What a report says of a sample next to a uniform one, on the page and in a terminal."""

from jobs.judging.verdict import Gap, Verdict
from jobs.reporting.cells import CellOf
from jobs.reporting.numbers import human, percent


def verdict_of(cell: CellOf, sample: str | None, prefix: str = "") -> Verdict | None:
    """Return what nodes and communities say about a sample; None if coverage was not measured.

    Parameters
    ----------
    prefix : prefix of the sections if another embedding judges; see ``coverage_rows``
    """

    def gap(name: str) -> Gap | None:
        section = prefix + name
        mean = cell(section, sample, None, "coverage_gap").value
        error = cell(section, sample, None, "coverage_gap_error").value
        return None if sample is None or mean is None or error is None else Gap(mean, error)

    nodes = gap("coverage")
    return None if nodes is None else Verdict(nodes, gap("communities"))


def verdict_said(
    cell: CellOf, sample: str | None, beside_tree: str | None = None
) -> tuple[str, str]:
    """Return better, same, mixed, worse or unknown, and what it rests on, in a few sentences.

    Parameters
    ----------
    beside_tree : what else than the tree may be why it is worse, as a sentence; see
        ``jobs.telling.warnings``
    """
    verdict = verdict_of(cell, sample)
    if verdict is None:
        return "unknown", ""
    said = [
        "Independent check: averaged over regions that count the same, points lie "
        f"{_compared(verdict.nodes)}."
    ]
    if verdict.communities is not None:
        n = cell("communities", None, None, "n_communities").value
        said.append(
            f"Averaged over {human(n)} communities, groups of points that lie close together, "
            f"they lie {_compared(verdict.communities)}."
        )
    worst = max(verdict.nodes, verdict.communities or verdict.nodes)
    if worst.side == "worse" and beside_tree is not None:
        said.append(beside_tree)
    elif worst.side == "worse" and worst is verdict.nodes:
        said.append(
            "The levels may not fit the data; try cluster.levels: auto, or a larger share.leaves."
        )
    elif worst.side == "worse":
        said.append(
            "A few broad concepts may fill this sample and leave less for the others; try "
            "cluster.levels and share: auto, a larger target_size, or a smaller top level."
        )
    return verdict.state, " ".join(said)


def _compared(gap: Gap) -> str:
    spread = f"(± {percent(gap.error)}, the standard error over independent hash samples)"
    if gap.side == "same":
        return f"as close to this sample as to a uniform one {spread}"
    side = "farther from" if gap.mean > 0 else "closer to"
    than = "from" if gap.mean > 0 else "to"
    return f"{percent(abs(gap.mean))} {side} this sample than {than} a uniform one {spread}"


def side_said(cell: CellOf, sample: str) -> str:
    """Return a sentence for a terminal on how close points lie; empty if it was not measured."""
    verdict = verdict_of(cell, sample)
    if verdict is None:
        return ""
    than = "to it than to" if verdict.nodes.mean <= 0 else "from it than from"
    text = f" Averaged over regions, points lie {gap_said(verdict.nodes)} {than} a uniform sample"
    if verdict.communities is not None:
        text += f"; averaged over communities, {gap_said(verdict.communities)}"
    return text + "."


def gap_said(gap: Gap) -> str:
    """Return how much closer or farther points lie, with the standard error."""
    side = "closer" if gap.mean <= 0 else "farther"
    return f"{percent(abs(gap.mean))} (± {percent(gap.error)}) {side}"
