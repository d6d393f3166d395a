"""Batches that were selected as a whole, in the report: each beside a uniform draw."""

from collections.abc import Mapping

import pyarrow as pa

from jobs.config.model import RunConfig
from jobs.reporting.rows import Row
from jobs.reporting.side_page import Chart, SidePage

_SECTION = "batches"
_INTRO = (
    "What a contrastive model learns from a pair depends on the others of its batch. A batch is "
    "worth training on where the learner's loss on it is high and a reference model's is low."
)
_CHARTS = (
    Chart(
        "joint_learnability", "To learn from each batch", "key", "batch",
        ("drawn jointly", "drawn uniformly"),
    ),
    Chart(
        "independent_control", "The same, each pair drawn by its own gain", "key", "batch",
        ("drawn independently", "drawn uniformly"),
    ),
)  # fmt: skip


def batch_rows(source: str, stats: pa.Table) -> list[Row]:
    """Return the rows of ``report``, by a batch's number.

    Parameters
    ----------
    stats : rows of ``batch_stats``
    """
    rows: list[Row] = []
    for batch in stats.to_pylist():
        uniform, key = batch["uniform_control"], str(batch["batch_id"])
        for name, control in (
            ("joint_learnability", uniform),
            ("independent_control", uniform),
            ("loss_learner", None),
            ("loss_reference", None),
        ):
            rows.append(Row(source, _SECTION, None, key, None, name, batch[name], control))
    return rows


def batch_page(config: RunConfig, run_id: str, said: str, tables: Mapping[str, str]) -> SidePage:
    """Return the content of the page of selected batches.

    Parameters
    ----------
    tables : name -> address
    """
    return SidePage.of(
        config,
        run_id,
        title="Batches to learn from as a whole",
        intro=_INTRO,
        said=[said],
        charts=_CHARTS,
        tables=tables,
        columns="batch",
    )
