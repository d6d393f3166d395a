"""The page of batches of hard negatives."""

from collections.abc import Mapping, Sequence

from jobs.config.model import RunConfig
from jobs.reporting.side_page import Chart, SidePage

_INTRO = (
    "A contrastive model learns to tell a point from the others of its batch. Points of a uniform "
    "batch are easily told apart; here the points of a batch lie close together in the tree."
)
_NAMES = ("hard negatives", "uniform batches")
_CHARTS = (
    Chart("mean_cosine", "Mean cosine of each batch's points", "key", "batch", _NAMES),
    Chart("info_nce", "InfoNCE of each batch", "key", "batch", _NAMES),
    Chart("pairs_of_one_label", "Pairs of one label", "key", "batch", _NAMES),
)


def negatives_page(
    config: RunConfig, run_id: str, said: Sequence[str], tables: Mapping[str, str]
) -> SidePage:
    """Return the content of the page of a run's batches.

    Parameters
    ----------
    tables : name -> address
    """
    return SidePage.of(
        config,
        run_id,
        title="Batches of hard negatives",
        intro=_INTRO,
        said=said,
        charts=_CHARTS,
        tables=tables,
        columns="batch",
    )
