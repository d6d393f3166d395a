"""Samples that are like other rows, or unlike them: by the nodes of the tree that those land in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jobs.sections.samples import SampleConfig
from udfs.kernels.sampling.allocation import TreeLevel
from udfs.kernels.sampling.lifts import lifts
from udfs.kernels.sampling.quotas import rounded

# like and unlike -> (n_leaves,) seeds that landed in each leaf
SeedCounts = Mapping[str, NDArray[np.int64]]


def leaning(
    sample: SampleConfig, levels: Sequence[TreeLevel], seeds: SeedCounts
) -> tuple[list[TreeLevel], NDArray[np.bool_]]:
    """Return the tree with nodes weighted by their seeds, and which leaves give nothing.

    A node's weight is multiplied by its lift ^ strength, and divided by it if the sample is to be
    unlike the seeds.
    """
    leaned, is_dropped = [*levels], np.zeros(len(levels[0].parents), bool)
    for key, given in sample.seeds.items():
        if given.nearest is not None:
            continue
        power = given.strength if key == "like" else -given.strength
        for t, lift in enumerate(lifts(levels, seeds[key])):
            factors = lift**power if (old := leaned[t].factors) is None else old * lift**power
            leaned[t] = replace(leaned[t], factors=rounded(factors))
        if given.strict:
            is_dropped |= (seeds[key] == 0) == (key == "like")
    return leaned, is_dropped
