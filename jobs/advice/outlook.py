"""What curating an embedded pool promises, before its tree is grown: tried on a hash sample."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.advice.evidence import evidence_rows, judges_of
from jobs.advice.recommendation import recommendations
from jobs.judging.recommendation import Recommendation
from jobs.reporting.coverage_rows import wanted_samples
from jobs.reporting.rows import Row
from jobs.runs.run import Run
from jobs.sections.samples import SampleConfig
from jobs.tuning.problem import sampled_problem
from jobs.tuning.search import Tell, search
from udfs.kernels.exact.hashing import derive_seed, hash_keys


def outlook(run: Run, targets: Mapping[str, int], unit: float, tell: Tell) -> list[Recommendation]:
    """Return what to do about each sample, tried at the same share of a hash sample.

    The tree is the one that tuning would find for all samples. Those that more than it decides are
    left to the report.

    Parameters
    ----------
    targets : sample -> number of rows
    unit : grid unit of the vectors
    tell : called with the progress of the search for a tree
    """
    waiting = {sample.name: untried(sample) for sample in run.config.samples}
    tried = [sample for sample in run.config.samples if waiting[sample.name] is None]
    found = {r.sample: r for r in (_tried(run, tried, targets, unit, tell) if tried else [])}
    each = (waiting[name] or found.get(name) for name in waiting)
    return [one for one in each if one is not None]


def untried(sample: SampleConfig) -> Recommendation | None:
    """Return that a sample is judged by its report alone; None if the tree alone draws it."""
    keys = sample.beside_tree
    if not keys:
        return None
    why = (
        f"More than the tree decides what it holds ({', '.join(keys)}), and that is not judged "
        "beforehand: the report judges it"
    )
    return Recommendation(sample.name, "unjudged", (why,))


def _tried(
    run: Run, samples: Sequence[SampleConfig], targets: Mapping[str, int], unit: float, tell: Tell
) -> list[Recommendation]:
    """Return what to do about samples that the tree alone draws."""
    problem, table = sampled_problem(run, run.config, targets, unit)
    with threadpool_limits(1):
        choice = search(problem, tell)
    config, chosen, scale = run.config, choice.chosen, len(table) / problem.n_points
    drawn = {
        sample.name: chosen.trees[0].draw(
            chosen.depth,
            max(1, round(scale * targets[sample.name])),
            sample.share.resolved(*choice.share).powers,
            replicas=sample.replicas,
        )
        for sample in samples
    }
    judging = [
        _hashed(len(table), config.seed, salt, n)
        for salt, (_, n) in enumerate(wanted_samples(max(map(len, drawn.values()))))
    ]
    mine = {name: table.take(positions) for name, positions in drawn.items()}
    judges = [table.take(positions) for positions in judging]
    rows = evidence_rows(run, mine, judges, judges_of(judges, config.seed, unit))
    found = pd.DataFrame(rows, columns=Row._fields)
    return recommendations(found, [*drawn], config.report.judge, {})


def _hashed(n: int, seed: int, salt: int, n_rows: int) -> NDArray[np.int64]:
    """Return the positions of the rows with the smallest hashes : (min(n_rows, n),)."""
    order = np.argsort(hash_keys(derive_seed(seed, 3, salt), np.arange(n)), kind="stable")
    return np.asarray(order[:n_rows])
