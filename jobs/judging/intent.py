"""What a sample is meant to be, in words: what it is judged by depends on it."""

from jobs.sections.samples import SampleConfig
from jobs.sections.share import Powers


def how_drawn(sample: SampleConfig) -> str:
    """Return how a sample is drawn, in a few words."""
    if sample.blend is not None:
        parts = (f"{name} {share:.3g}" for name, share in sample.blend.items())
        return f"blend of {', '.join(parts)}"
    weight = [] if sample.weight is None else [f"weighted by {sample.weight.by}"]
    return " · ".join([sample.strategy, *weight, *sample.seeds])


def how_even(sample: SampleConfig) -> str:
    """Return how even a sample is meant to be over the nodes of the tree, as a sentence."""
    if sample.blend is not None:
        return "A blend takes the rows of its parts: they decide how even it is over these nodes."
    nearest = {key: of.nearest is not None for key, of in sample.seeds.items()}
    if not all(nearest.values()):
        return "Seeds decide which of these nodes give more: the sample is not meant to be even."
    if nearest:
        which = (
            "nearest to its seeds" if "like" in nearest else "not among the nearest to its seeds"
        )
        few = "a node with few of them gives few rows"
        return f"The sample may hold only points {which}: {few}."
    shared = _shared(sample.share.powers)
    return (
        f"{shared}, as far as its points {'and constraints ' if sample.constraints else ''}allow."
    )


def _shared(powers: Powers) -> str:
    """Return how the rows of a node follow what lies below it."""
    follows = [name for name, power in powers._asdict().items() if power]
    if powers == Powers(leaves=0, points=1):
        return "Each node is to give rows in proportion to its points, as in a uniform sample"
    if follows:
        return f"The more {' and '.join(follows)} below a node, the more rows it is to give"
    return "Each node is to give as many rows as the others of its parent"


def what_prefixes_are(sample: SampleConfig) -> str:
    """Return what the first rows of a sample are, as the end of a sentence."""
    if sample.blend is not None:
        return "each prefix of a blend holds its parts in the same shares"
    quotas = [] if sample.quotas is None else [*sample.quotas.values.values()]
    are_bounds = sample.per_node is not None or bool(sample.node_rules)
    if any(quota.share is None for quota in quotas) or (quotas and are_bounds):
        return "its quotas are those of the whole sample, and may not hold in each prefix"
    return "each prefix is the sample of its size"
