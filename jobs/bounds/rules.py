"""Rules of single nodes that a person has looked at: dropped, weighted, or capped."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, InputError
from jobs.pool.beside import opened
from jobs.sections.node_rules import NodeRule, NodeRulesTable
from jobs.sections.samples import SampleConfig
from udfs.kernels.sampling.allocation import TreeLevel
from udfs.kernels.sampling.quotas import rounded

MOST_RULES = 100_000
NO_CAP = np.iinfo(np.int64).max  # rows of a node without a cap
_NUMBERS = {"level": "int", "node_id": "bigint", "value": "double"}
_NEEDED, _OPTIONAL = ("level", "node_id", "rule"), ("value", "note")


def rules_of(spark: SparkSession, sample: SampleConfig, tree_key: str) -> Sequence[NodeRule]:
    """Return the sample's rules, read from their table if they are in one.

    Raises
    ------
    InputError
        If the table cannot be read, is of another tree, or has a row that is not a rule.
    """
    given, key = sample.node_rules, f"samples.{sample.name}.node_rules"
    if not isinstance(given, NodeRulesTable):
        return given
    rows = opened(spark, key, given, id="node_id", content="rule").rows
    missing = [name for name in _NEEDED if name not in rows.columns]
    if missing:
        raise InputError(
            f"{key}: {given.table} has no column {missing[0]!r}; want {', '.join(_NEEDED)}, and "
            f"{' and '.join(_OPTIONAL)} where there is one"
        )
    if "tree_key" in rows.columns:
        others = rows.where(F.col("tree_key") != tree_key).limit(1).collect()
        if others:
            raise InputError(
                f"{key}: {given.table} has rules for the tree {others[0].tree_key!r}, and this one "
                f"is {tree_key!r}, whose nodes are others; look at them anew, or filter by where"
            )
    columns = [
        _number(rows, name, _NUMBERS[name]) if name in _NUMBERS else F.col(name)
        for name in (*_NEEDED, *_OPTIONAL)
        if name in rows.columns
    ]
    found = rows.select(*columns).limit(MOST_RULES + 1).collect()
    if len(found) > MOST_RULES:
        raise InputError(f"{key}: {given.table} has more than {MOST_RULES} rows; want fewer")
    return [_rule(f"{key}: {given.table}", row.asDict()) for row in found]


def _number(rows: DataFrame, name: str, kind: str) -> Column:
    """Return a column of numbers; text is read as such, as CSV has no other type."""
    is_text = rows.schema[name].dataType.typeName() == "string"
    return F.col(name).try_cast(kind).alias(name) if is_text else F.col(name)


def _rule(at: str, row: dict[str, object]) -> NodeRule:
    given = {name: value for name, value in row.items() if value is not None}
    try:
        return NodeRule.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{at}, row {row}: {where or 'rule'}: {first['msg']}") from error


class Rules:
    """The rules of a sample, by node of the tree.

    Attributes
    ----------
    factors : factors of the weights, by level, leaves first : (n_nodes,) each
    most : rows below each node, by level : (n_nodes,) int64 each
    is_dropped : (n_leaves,)
    """

    def __init__(
        self, sample: SampleConfig, rules: Sequence[NodeRule], levels: Sequence[TreeLevel]
    ) -> None:
        """Look up the nodes.

        Raises
        ------
        ConfigError
            If the tree has no such node, or a node has a rule twice.
        """
        sizes = [len(level.parents) for level in levels]
        self.factors = [np.ones(n) for n in sizes]
        self.most = [np.full(n, NO_CAP) for n in sizes]
        dropped = [np.zeros(n, bool) for n in sizes]
        known: set[tuple[int, int, str]] = set()
        for rule in rules:
            at = f"samples.{sample.name}.node_rules: {rule.rule} node {rule.node_id}"
            if rule.level > len(sizes) or rule.node_id >= sizes[rule.level - 1]:
                shape = ", ".join(f"{n} at level {t}" for t, n in enumerate(sizes, start=1))
                raise ConfigError(f"{at} of level {rule.level}: the tree has the nodes 0 to n - 1 "
                                  f"of {shape}; want one of them")  # fmt: skip
            if (rule.level, rule.node_id, rule.rule) in known:
                raise ConfigError(f"{at} of level {rule.level} is said twice; want it once")
            known.add((rule.level, rule.node_id, rule.rule))
            if rule.rule == "drop":
                dropped[rule.level - 1][rule.node_id] = True
            elif rule.rule == "cap":
                self.most[rule.level - 1][rule.node_id] = int(rule.value or 0)
            else:
                self.factors[rule.level - 1][rule.node_id] = rule.value
        self.is_dropped = _below(dropped, levels)

    def weighted(self, levels: Sequence[TreeLevel]) -> list[TreeLevel]:
        """Return the tree with the factors of its nodes' weights."""
        return [
            replace(level, factors=rounded(factors)) if (factors != 1).any() else level
            for level, factors in zip(levels, self.factors, strict=True)
        ]


def _below(flagged: Sequence[NDArray[np.bool_]], levels: Sequence[TreeLevel]) -> NDArray[np.bool_]:
    """Return which leaves are below a flagged node : (n_leaves,), flags by level."""
    found = flagged[-1]
    for t in range(len(levels) - 2, -1, -1):
        found = flagged[t] | found[levels[t].parents]
    return found
