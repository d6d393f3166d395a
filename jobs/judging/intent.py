"""What a sample is meant to be, in words: what it is judged by depends on it."""

from jobs.sections.samples import SampleConfig


def how_drawn(sample: SampleConfig) -> str:
    """Return how a sample is drawn, in a few words."""
    if sample.blend is not None:
        parts = (f"{name} {share:.3g}" for name, share in sample.blend.items())
        return f"blend of {', '.join(parts)}"
    return " · ".join([sample.strategy, *sample.seeds])


def how_even(sample: SampleConfig) -> str:
    """Return how even a sample is meant to be over the nodes of the tree, as a sentence."""
    if sample.blend is not None:
        return "A blend takes rows of other samples, and is as even over these nodes as they are."
    if sample.seeds:
        return "Seeds decide which of these nodes give more, so the sample is not even over them."
    if sample.is_constrained:
        return "The sample is drawn to be as even over these nodes as its constraints allow."
    return "The sample is drawn to be even over these nodes, so it should be."
