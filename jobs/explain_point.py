"""Explain one id of the pool: its way through the finished run, and why it is in which sample.

Reads    embeddings, rejects, nodes, assignments, allocations, samples
Writes   nothing
Method   what the tables say; the rank of a point that was not drawn is counted as drawing would,
         among its leaf's points: see ``jobs.points.ranks``
Run      evenlake explain ID --config conf/quickstart.yaml
"""

import sys
from collections.abc import Sequence
from functools import partial, reduce
from itertools import islice
from operator import or_
from typing import Annotated

import typer
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cli.command import PASS_ON, ConfigOption, Options, ResultOption, execute, exit_code
from jobs.config.model import RunConfig
from jobs.points.ranks import ranked
from jobs.pool.ids import Id, parse_id
from jobs.reporting.explanation import Explanation, Gate, Node, Place
from jobs.runs.run import Run, open_run

PointArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="An id of the pool, binary in hex; -- before it if need be."),
]


def run(
    spark: SparkSession, config: RunConfig, *, point: str, within: Run | None = None
) -> Explanation:
    """Follow one id through the tables.

    Raises
    ------
    InputError
        If the text is no id of the pool's type.
    ConfigError
        If a stage that the id has come to has not finished for this config and input.
    """
    this = within or open_run(spark, config)
    this.figures("embed_pool")
    id_ = parse_id(point, this.lake.read("rejects").schema["id"].dataType)
    gate = _gate(this, id_)
    path: list[Node] = []
    places = [Place(s.name, [], why_not=str(gate)) for s in config.samples]
    if gate.status == "accepted":
        this.settle()
        this.figures("balance_sample")
        path, places = _followed(this, id_)
    return Explanation(
        id=id_.hex() if isinstance(id_, bytes) else id_,
        pool=this.pool.name,
        version=this.pool.fingerprint,
        model=config.embed.model,
        gate=gate,
        path=path,
        samples=places,
    )


def _of(rows: DataFrame, id_: Id) -> DataFrame:
    """Keep the rows of one id, which stays a literal: no text of it becomes SQL."""
    return rows.where(F.col("id") == F.lit(id_))


def _gate(this: Run, id_: Id) -> Gate:
    key, said = this.keys["embed_pool"], ("stage", "reason", "detail")
    rejects = _of(this.lake.read("rejects", key), id_).select(*said)
    accepted = _of(this.lake.read("embeddings", key), id_)
    silent = accepted.select(*(F.lit(None).cast("string").alias(name) for name in said))
    rows = rejects.unionByName(silent).collect()
    if not rows:
        where = this.config.input.where
        return Gate("no such id in the pool" + (f" where {where}" if where else ""))
    row = rows[0]  # of a doubled id, every row says the same
    return Gate("accepted") if row.reason is None else Gate("rejected", *row)


def _followed(this: Run, id_: Id) -> tuple[list[Node], list[Place]]:
    """Return an accepted point's nodes, and its place in every sample."""
    assignments = this.lake.read("assignments", this.keys["cluster_levels"])
    (own,) = _of(assignments, id_).select("leaf_id", "path").collect()
    nodes = _nodes(this, own.path)
    ranks = _ranks(this, assignments.where(F.col("leaf_id") == own.leaf_id), id_)
    samples = _of(this.lake.read("samples", this.keys["balance_sample"]), id_)
    drawn = samples.select("sample", "replica").orderBy("replica").collect()
    places = []
    for sample in this.config.samples:
        replicas = [row.replica for row in drawn if row.sample == sample.name]
        rank, quota = ranks[sample.strategy], nodes[0].quotas[sample.name]
        why_not = None if replicas else f"rank {rank}, its leaf's quota is {quota}"
        places.append(Place(sample.name, replicas, rank, why_not))
    return nodes, places


def _nodes(this: Run, path: Sequence[int]) -> list[Node]:
    """Read the nodes of a path, leaf first."""
    at = ["level", "node_id"]
    is_on_path: Column = reduce(
        or_, ((F.col(at[0]) == t) & (F.col(at[1]) == node) for t, node in enumerate(path, start=1))
    )
    nodes = this.lake.read("nodes", this.keys["cluster_levels"]).where(is_on_path)
    allocations = this.lake.read("allocations", this.keys["balance_sample"]).where(is_on_path)
    quotas = allocations.groupBy(*at).agg(
        F.map_from_entries(F.collect_list(F.struct("sample", "quota"))).alias("quotas")
    )
    rows = nodes.join(quotas, on=at, how="inner").select(*at, "n_points", "quotas").orderBy("level")
    names = [sample.name for sample in this.config.samples]
    return [
        Node(row.level, row.node_id, row.n_points, {name: row.quotas[name] for name in names})
        for row in rows.collect()
    ]


def _ranks(this: Run, leaf: DataFrame, id_: Id) -> dict[str, int]:
    """Return the point's rank in its leaf by strategy."""
    seed, found = this.config.seed, []
    for strategy in sorted({sample.strategy for sample in this.config.samples}):
        points = _of(ranked(leaf, strategy=strategy, seed=seed), id_)
        found.append(points.select(F.lit(strategy).alias("strategy"), "position"))
    return {row.strategy: row.position for row in reduce(DataFrame.unionByName, found).collect()}


def id_last(arguments: Sequence[str]) -> list[str]:
    """Put options first and the id after ``--``, so that it may start with a dash.

    The id is what follows a ``--`` that is there, or else the first argument that is no option.
    """
    valued = ("--config", "-c", "--result")
    options: list[str] = []
    others: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            others = [*left, *others]
        elif argument in valued:
            options += [argument, *islice(left, 1)]
        elif argument == "--help" or argument.startswith(tuple(f"{name}=" for name in valued)):
            options.append(argument)
        else:
            others.append(argument)
    return [*options, "--", *others]


def main(argv: Sequence[str] | None = None) -> int:
    """Explain one id of the pool."""
    app = typer.Typer(add_completion=False)

    @app.command("explain", help=(__doc__ or "").splitlines()[0], context_settings=PASS_ON)
    def command(
        context: typer.Context,
        point: PointArgument,
        config: ConfigOption,
        result: ResultOption = None,
    ) -> None:
        job = partial(run, point=point)
        raise typer.Exit(execute(job, Options(config, context.args, result)))

    return exit_code(app, id_last(sys.argv[1:] if argv is None else argv), name="explain")


if __name__ == "__main__":
    sys.exit(main())
