"""Nodes of the tree as concepts: what they are called, by labels or by words of their texts."""

from collections import Counter
from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.gallery.contents import contents
from jobs.gallery.exemplars import READ_PER_NODE, SEPARATOR, names
from jobs.pool.inputs import Pool

MOST_NAMED = 2_000  # nodes that are named by the words of their texts in one go

Name = tuple[str, tuple[str, ...]]  # name and aliases
NAMELESS: Name = ("", ())


def by_majority(of_node: DataFrame, labelled: DataFrame) -> dict[int, Name]:
    """Name nodes by their most frequent label; those without any are left out.

    Parameters
    ----------
    of_node : id, node_id
    labelled : id, label
    """
    counts = of_node.join(labelled, on="id", how="inner").groupBy("node_id", "label").count()
    first = Window.partitionBy("node_id").orderBy(F.desc("count"), "label")
    most = counts.withColumn("place", F.row_number().over(first)).where("place = 1")
    return {row.node_id: (row.label, ()) for row in most.collect()}


def by_words(of_node: DataFrame, pool: Pool, config: RunConfig, *, n_nodes: int) -> dict[int, Name]:
    """Name nodes by terms that are most their own, of a few of their texts, chosen by hash.

    Parameters
    ----------
    of_node : id, node_id

    Raises
    ------
    ConfigError
        If there are too many nodes.
    """
    if n_nodes > MOST_NAMED:
        raise ConfigError(
            f"synthesis.level has {n_nodes} nodes, too many to be named by their words; want at "
            f"most {MOST_NAMED}: a higher level, or report.label to name them by"
        )
    order = Window.partitionBy("node_id").orderBy(F.xxhash64("id", F.lit("concepts")), "id")
    few = of_node.withColumn("place", F.row_number().over(order))
    read = few.where(F.col("place") <= READ_PER_NODE).select("id", "node_id").toArrow()
    seen = contents(pool, config, read["id"])[["id", "words"]]
    texts = read.to_pandas().merge(seen, on="id", how="left").sort_values(["node_id", "id"])
    joined = texts.groupby("node_id")["words"].agg(lambda mine: " ".join(mine.dropna()))
    called = told_apart([name.split(SEPARATOR) if name else [] for name in names([*joined])])
    return dict(zip(joined.index.tolist(), called, strict=True))


def told_apart(described: Sequence[Sequence[str]]) -> list[Name]:
    """Return a name for each node, from terms that describe it, and its other terms as aliases.

    A term that describes several nodes names at most one of them, and is no node's alias.

    Parameters
    ----------
    described : the terms of each node, the best first
    """
    n_nodes = Counter(term for terms in described for term in terms)
    taken: set[str] = set()
    found = []
    for terms in described:
        own = [term for term in terms if n_nodes[term] == 1]
        free = [term for term in terms if term not in taken]
        name = next(iter([*own, *free]), " ".join(terms))
        taken.add(name)
        found.append((name, tuple(term for term in own if term != name)))
    return found
