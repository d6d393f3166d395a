"""Pairs with embeddings by two models: joined by id, calibrated, compared with other models'."""

from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import InputError
from jobs.points.hash_sample import sample_rows
from jobs.pool.joining import RejectRule, require_same_ids, with_reasons
from jobs.pool.towers import TOWERS, packed_pairs, read_towers
from jobs.sections.batches import BatchesConfig, TowersConfig
from udfs.joint import coordinates_of
from udfs.kernels.joint.fitting import fit
from udfs.kernels.joint.losses import FORMS, Calibration, Floats
from udfs.kernels.joint.sums import looked_up

N_FITTED, N_COMPARED = 512, 2048  # pairs, chosen by hash
_SIDES = ("learner", "reference")
_COLUMNS = [f"{name}_{side}" for side in _SIDES for name in TOWERS]

Models = tuple[Calibration, Calibration]  # the learner, the reference


def pairs_of(
    spark: SparkSession,
    ids: DataFrame,
    models: Mapping[str, TowersConfig],
    *,
    are_few: bool = False,
) -> DataFrame:
    """Join both models' embeddings to ids, and say why a row cannot be scored.

    Parameters
    ----------
    ids : rows with a column ``id``
    models : the learner and the reference, by config key
    are_few : whether the ids are far fewer than the tables' rows

    Returns
    -------
    pairs : id, image and text by learner and reference (such as image_learner), reason, detail
    """
    rows = ids.select("id")
    wrong: list[RejectRule] = []
    for side, (key, towers) in zip(_SIDES, models.items(), strict=True):
        found = read_towers(spark, key, towers)
        require_same_ids(f"batches.{key}", ids, found)
        if are_few:
            found = found.join(F.broadcast(ids.select("id")), on="id", how="left_semi")
        packed = packed_pairs(found, f"batches.{key}")
        names = {c: f"{c}_{side}" for c in packed.columns if c != "id"}
        rows = rows.join(packed.withColumnsRenamed(names), on="id", how="left")
        n, told = F.col(f"n_rows_{side}"), F.col(f"detail_{side}")
        wrong += [
            RejectRule("no_embedding", n.isNull(), F.lit(f"{key}: no row has this id")),
            RejectRule(
                "duplicate_embedding", n > 1, F.format_string(f"{key}: %d rows have this id", n)
            ),
            RejectRule(
                "bad_embedding",
                F.col(f"reason_{side}").isNotNull(),
                F.concat(F.lit(f"{key}."), told),
            ),
        ]
    return with_reasons(rows, wrong).select("id", *_COLUMNS, "reason", "detail")


def calibrated(pairs: DataFrame, given: BatchesConfig, *, n_pairs: int, seed: int) -> Models:
    """Return what makes logits of each scoring model's cosines: as given, or fitted to a sample."""
    models = given.scoring
    if all(towers.temperature is not None for towers in models.values()):
        sample = None
    else:
        wanted = ("batches.fit", N_FITTED)
        rows = pairs.select("id", *_COLUMNS)
        (sample,) = sample_rows(rows, [wanted], n_pairs, seed=seed)
    return _calibrations(sample, models, given)


def _calibrations(
    sample: pa.Table | None, models: Mapping[str, TowersConfig], given: BatchesConfig
) -> Models:
    def of(side: str, towers: TowersConfig) -> Calibration:
        if towers.temperature is not None or sample is None:
            return Calibration(towers.temperature or 1.0, towers.bias or 0.0)
        image, text = (coordinates_of(sample[f"{name}_{side}"]) for name in TOWERS)
        return fit(image, text, given.loss, given.drawn_size)

    learner, reference = map(of, _SIDES, models.values())
    return learner, reference


def agreement(
    spark: SparkSession,
    pairs: DataFrame,
    models: Models,
    given: BatchesConfig,
    *,
    n_pairs: int,
    seed: int,
) -> float:
    """Return how well the scoring models' gains of pairs rank as those of the full models.

    Returns
    -------
    correlation : Spearman's, on a hash sample; 1 if the full models score, 0 if all gains of one
        are the same

    Raises
    ------
    InputError
        If the sample has no embeddings by the full models.
    """
    if given.approximation is None:
        return 1.0
    from scipy.stats import spearmanr

    wanted = ("batches.agreement", N_COMPARED)
    (sample,) = sample_rows(pairs.select("id", *_COLUMNS), [wanted], n_pairs, seed=seed)
    ids = spark.createDataFrame(sample.select(["id"]))
    full_pairs = pairs_of(spark, ids, given.full, are_few=True).where("reason IS NULL")
    full = full_pairs.select("id", *_COLUMNS).toArrow().sort_by("id")
    if len(full) < 2:
        raise InputError(
            f"batches.learner, batches.reference: {len(full)} of {len(sample)} pairs have "
            "embeddings by both; want them, to compare the approximation with"
        )
    mine = sample.filter(pa.compute.is_in(sample["id"], full["id"].combine_chunks())).sort_by("id")
    exact = _calibrations(full.slice(0, N_FITTED), given.full, given)
    gains = [_gains(mine, models, given.loss), _gains(full, exact, given.loss)]
    if any((each == each[0]).all() for each in gains):
        return 0.0
    return float(spearmanr(*gains).statistic)


def _gains(rows: pa.Table, models: Models, form: str) -> Floats:
    """Return what there is to learn from each pair by itself : (n,)."""
    matched = []
    for side, model in zip(_SIDES, models, strict=True):
        image, text = (coordinates_of(rows[f"{name}_{side}"]) for name in TOWERS)
        matched.append(FORMS[form](image, text, model, looked_up).matched)
    return matched[0] - matched[1]
