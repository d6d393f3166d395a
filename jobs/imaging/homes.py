"""Which node is a concept's home: where its images are meant to land.

A concept of the tree has a node: that is its home. Others are at home in the leaves in which they
hold the most points of all, counting real ones by their label, where one is named, and images by
their concept. So a concept that the pool lacks is at home where its images outnumber all others,
which may be nowhere: a tree that has never seen it need not have a node for it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from jobs.spark.naming import quote
from jobs.synthesis.words import words_of

NAMES = ("concept_id", "concept", "aliases", "level", "node_id")


@dataclass(frozen=True)
class Homes:
    """How points and concepts are compared: by the group of each, at a place in the tree.

    Attributes
    ----------
    level : level of the places; the leaves if concepts have no nodes
    by_node : whether concepts are nodes
    groups : concept_id, concept, node_id, group
    names : the group that a name, or an alias, calls
    """

    level: int
    by_node: bool
    groups: pd.DataFrame
    names: dict[str, str]

    @property
    def place(self) -> Column:
        """The place of a point that has a path."""
        return F.get("path", F.lit(self.level - 1))

    def real(self, points: DataFrame, described: DataFrame, label: str | None) -> DataFrame:
        """Return the place and the group of real points : points, place, group.

        Parameters
        ----------
        points : id, path
        described : id, and the metadata by name
        label : a name of the metadata, or None
        """
        placed = points.withColumn("place", self.place)
        if self.by_node:
            return placed.withColumn("group", F.concat(F.lit("node "), F.col("place")))
        if label is None:
            return placed.withColumn("group", F.lit(None).cast("string"))
        labels = described.select("id", F.col(quote(label)).cast("string").alias("label"))
        told = [(row.label, self.group_of(row.label)) for row in _distinct(labels)]
        groups = points.sparkSession.createDataFrame(told, "label string, group string")
        mine = labels.join(F.broadcast(groups), on="label", how="inner").select("id", "group")
        return placed.join(mine, on="id", how="left")

    def group_of(self, label: str) -> str | None:
        """Return the group of a label: words name it, as in the plan; None if it has none."""
        called = _called(label)
        return self.names.get(called, called) or None


def homes_of(concepts: pd.DataFrame) -> Homes:
    """Return what tells whether an image is at home.

    Parameters
    ----------
    concepts : NAMES, of ``synthesis_concepts``
    """
    ordered = concepts.sort_values("concept_id")
    groups = ordered[["concept_id", "concept", "node_id"]].copy()
    by_node = bool(len(groups)) and bool(groups["node_id"].notna().all())
    named = groups["concept"].map(_called)
    groups["group"] = "node " + groups["node_id"].astype("Int64").astype(str) if by_node else named
    names: dict[str, str] = {}
    for concept, aliases, group in zip(
        ordered["concept"], ordered["aliases"], groups["group"], strict=True
    ):
        for name in (concept, *(aliases if aliases is not None else ())):
            names.setdefault(_called(name), group)
    return Homes(int(ordered["level"].max()) if by_node else 1, by_node, groups, names)


def _called(name: str) -> str:
    return " ".join(words_of(name))


def _distinct(labels: DataFrame) -> list[Row]:
    return labels.select("label").where("label IS NOT NULL").distinct().collect()


def owners(homes: Homes, real: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return whose home each place is; ties go to the first name.

    Parameters
    ----------
    real : place, group, n_pool; groups may be None
    images : place, group, n_images

    Returns
    -------
    owners : place, owner
    """
    both = [real.rename(columns={"n_pool": "n"}), images.rename(columns={"n_images": "n"})]
    counts: pd.DataFrame = pd.concat(both)[["place", "group", "n"]].dropna()
    if homes.by_node:
        places = np.unique(counts["place"].to_numpy(np.int64))
        return pd.DataFrame({"place": places, "owner": [f"node {place}" for place in places]})
    summed = counts.groupby(["place", "group"])["n"].sum().reset_index()
    first = summed.sort_values(["place", "n", "group"], ascending=[True, False, True])
    owned = first.drop_duplicates("place")[["place", "group"]].astype({"place": np.int64})
    return owned.rename(columns={"group": "owner"})
