"""Super-batches of exactly one size: rows in the order of a hash, cut at regular intervals."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

_BIN_ROWS, _MOST_BITS = 50_000, 16  # rows that one task sorts; the most bits in a bin's name


def super_batches(
    ids: DataFrame, hash_: Column, *, n_all: int, size: int, n_batches: int
) -> DataFrame:
    """Cut rows into super-batches; what is left over at the end of the order is in none.

    Parameters
    ----------
    ids : rows with a column ``id``
    hash_ : a bigint of each row
    n_all : the number of rows
    n_batches : super-batches to return, at most n_all / size

    Returns
    -------
    batches : id, hash, super_batch (from 0)
        Whatever the partitioning: rows are ranked in bins of their first bits, one bin after
        another, ties by id.
    """
    n_bits = min(_MOST_BITS, max(0, (n_all // _BIN_ROWS).bit_length()))
    # in Java, a shift by 64 bits shifts nothing
    bin_ = F.shiftright("hash", 64 - n_bits) if n_bits else F.lit(0).cast("bigint")
    hashed = ids.select("id", hash_.alias("hash")).withColumn("bin", bin_)
    counts = hashed.groupBy("bin").agg(F.count("*").alias("n"))
    in_order = Window.partitionBy(F.lit(0)).orderBy("bin")
    before = counts.select("bin", (F.sum("n").over(in_order) - F.col("n")).alias("before"))
    within = Window.partitionBy("bin").orderBy("hash", "id")
    ranked = hashed.withColumn("rank", F.row_number().over(within) - 1).join(
        before, on="bin", how="inner"
    )
    batch = F.floor((F.col("before") + F.col("rank")) / F.lit(size)).cast("bigint")
    numbered = ranked.select("id", "hash", batch.alias("super_batch"))
    return numbered.where(F.col("super_batch") < n_batches)
