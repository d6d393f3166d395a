"""What curating an embedded pool promises, before its tree is grown: tried on a hash sample."""

from collections.abc import Mapping

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
from jobs.tuning.problem import sampled_problem
from jobs.tuning.search import Tell, search
from udfs.kernels.exact.hashing import derive_seed, hash_keys


def outlook(run: Run, targets: Mapping[str, int], unit: float, tell: Tell) -> list[Recommendation]:
    """Return what to do about each sample, tried at the same share of a hash sample.

    Parameters
    ----------
    targets : sample -> number of rows
    unit : grid unit of the vectors
    tell : called with the progress of the search for a tree
    """
    problem, table = sampled_problem(run, run.config, targets, unit)
    with threadpool_limits(1):
        choice = search(problem, tell)
    config, chosen, scale = run.config, choice.chosen, len(table) / problem.n_points
    drawn = {
        sample.name: chosen.trees[0].draw(
            chosen.depth,
            max(1, round(scale * targets[sample.name])),
            sample.share.resolved(*choice.share).powers,
        )
        for sample in config.samples
    }
    judging = [
        _hashed(len(table), config.seed, salt, n)
        for salt, (_, n) in enumerate(wanted_samples(max(map(len, drawn.values()))))
    ]
    mine = {name: table.take(positions) for name, positions in drawn.items()}
    judges = [table.take(positions) for positions in judging]
    rows = evidence_rows(run, mine, judges, judges_of(judges, config.seed, unit))
    found = pd.DataFrame(rows, columns=Row._fields)
    return recommendations(found, [*drawn], config.report.judge, config.led)


def _hashed(n: int, seed: int, salt: int, n_rows: int) -> NDArray[np.int64]:
    """Return the positions of the rows with the smallest hashes : (min(n_rows, n),)."""
    order = np.argsort(hash_keys(derive_seed(seed, 3, salt), np.arange(n)), kind="stable")
    return np.asarray(order[:n_rows])
