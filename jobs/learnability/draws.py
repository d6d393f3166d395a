"""Scores of rows by every criterion, and a round's draws by one of them.

A softmax draw without replacement is the rows with the largest keys, score / temperature plus
Gumbel noise (Kool et al., arXiv 1903.06059); the noise comes from hashes of ids, so that the draw
is the same on any partitioning.
"""

from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.sections.learnability import LearnabilityConfig

CRITERIA = ("hard", "easy_reference", "learnability")  # besides uniform, which is 0 for all
_BUCKETS = 256.0  # buckets of keys per unit of the scores or of the noise, whichever is larger
_FAR = 1e15  # keys beyond share the last bucket


def scored(rows: DataFrame, given: LearnabilityConfig, seed: int) -> DataFrame:
    """Score rows by all criteria, and add a key to each: the round's draw is the largest keys.

    Parameters
    ----------
    rows : id, node_id, loss_online, loss_reference

    Returns
    -------
    scored : round, id, super_batch, node_id, the losses and scores, key
    """
    most = F.lit(given.max_loss)
    online, reference = (
        F.col(name) if given.max_loss is None else F.least(F.col(name), most)
        for name in ("loss_online", "loss_reference")
    )
    scores: dict[str, Column] = {
        "hard": online,
        "easy_reference": -reference,
        "learnability": online - reference,
        "uniform": F.lit(0.0),
    }
    n_super_batches = int(-(-1 // given.super_batch))  # rounded up

    def hashed(salt: str) -> Column:
        return F.xxhash64("id", F.lit(f"learnability.{salt}"), F.lit(seed), F.lit(given.round))

    # 52 bits, so that it is below 1; then Gumbel's distribution, by Spark's StrictMath logarithms
    uniform = (F.shiftrightunsigned(hashed("draw"), 12) + F.lit(0.5)) * F.lit(2.0**-52)
    gumbel = -F.log(-F.log(uniform))
    return rows.select(
        F.lit(given.round).alias("round"),
        "id",
        F.pmod(hashed("super_batch"), F.lit(n_super_batches)).alias("super_batch"),
        "node_id",
        "loss_online",
        "loss_reference",
        *(scores[name].alias(name) for name in CRITERIA),
        (scores[given.criterion] / F.lit(given.temperature) + gumbel).alias("key"),
    )


def drawn(rows: DataFrame, given: LearnabilityConfig) -> DataFrame:
    """Mark the largest keys of every super-batch; within nodes, the same share of each.

    Rows are ranked in buckets of nearby keys, so that no task ranks a whole super-batch.
    """
    group = ["super_batch", "node_id"]
    # keys are scores / temperature plus noise of about 1
    place = F.col("key") * F.lit(min(1.0, given.temperature) * _BUCKETS)
    bucketed = rows.withColumn(
        "bucket", F.floor(F.least(F.greatest(place, F.lit(-_FAR)), F.lit(_FAR)))
    )
    counts = bucketed.groupBy(*group, "bucket").agg(F.count("*").alias("n"))
    above = Window.partitionBy(*group).orderBy(F.desc("bucket"))
    # cumulative rounding: whole numbers that add up to the share of the super-batch
    until = F.sum("n").over(Window.partitionBy("super_batch").orderBy("node_id"))
    before = until - F.sum("n").over(Window.partitionBy(*group))
    upto, already = (F.floor(F.lit(given.keep) * n + 0.5) for n in (until, before))
    quotas = counts.select(
        *group,
        "bucket",
        (F.sum("n").over(above) - F.col("n")).alias("n_above"),
        (upto - already).alias("quota"),
    )
    is_same = reduce(
        and_,
        (F.col(f"mine.{g}").eqNullSafe(F.col(f"theirs.{g}")) for g in (*group, "bucket")),
    )
    joined = bucketed.alias("mine").join(quotas.alias("theirs"), is_same, how="inner")
    within = Window.partitionBy(*(f"mine.{g}" for g in (*group, "bucket")))
    place = F.row_number().over(within.orderBy(F.desc("key"), "id")) + F.col("n_above")
    selected = (place <= F.col("quota")).alias("is_selected")
    return joined.select("mine.*", selected).drop("bucket")
