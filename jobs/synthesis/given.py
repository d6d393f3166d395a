"""A table of concepts that a user wrote: pinned, and read."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StringType

from jobs.config.errors import InputError
from jobs.config.model import RunConfig
from jobs.pool.beside import column_of, opened, pinned
from jobs.reading.rows import MALFORMED
from jobs.reading.settings import settings_pinned
from jobs.sections.synthesis import ConceptsConfig
from jobs.spark.errors import SPARK_ERRORS, reason
from jobs.synthesis.concepts import MOST_CONCEPTS, Concept, texts_of

_KEY = "synthesis.concepts"


def concepts_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the current fingerprint of the table of concepts.

    Raises
    ------
    InputError
        If it cannot be read as described.
    ConfigError
        If the config names another fingerprint.
    """
    table = config.synthesis.concepts
    if not isinstance(table, ConceptsConfig):
        return config
    now = pinned(_KEY, table, opened(spark, _KEY, table, content=table.concept))
    synthesis = config.synthesis.model_copy(update={"concepts": now})
    return config.model_copy(update={"synthesis": synthesis})


def given_concepts(spark: SparkSession, table: ConceptsConfig) -> list[Concept]:
    """Return the concepts of a table, by their names.

    Raises
    ------
    InputError
        If a column is missing, or of the wrong type.
    """
    rows = opened(spark, _KEY, table, content=table.concept).rows
    _refuse_broken(rows, table)
    with settings_pinned(spark):
        found = _selected(rows, table).limit(MOST_CONCEPTS + 1).collect()
    concepts = [
        Concept(
            row.concept,
            texts_of(row.aliases),
            weight=float("nan") if row.weight is None else row.weight,
            backgrounds=None if row.backgrounds is None else texts_of(row.backgrounds),
        )
        for row in found
    ]
    return sorted(concepts, key=lambda each: (each.name or "", each.aliases))


def _refuse_broken(rows: DataFrame, table: ConceptsConfig) -> None:
    if MALFORMED not in rows.columns:
        return
    for row in rows.where(F.col(MALFORMED).isNotNull()).select(MALFORMED).take(1):
        raise InputError(
            f"{_KEY}: {table.table} has a broken record, {row[0]!r:.120}: its fields are not as "
            "many as the columns, or it is another header; quote what holds commas"
        )


def _selected(rows: DataFrame, table: ConceptsConfig) -> DataFrame:
    """Return concept, aliases, weight, backgrounds; null or 1 for those that are not named."""
    columns = {"concept": table.concept, "aliases": table.aliases, "weight": table.weight}
    columns |= {"backgrounds": table.backgrounds}
    absent = {"aliases": F.lit(None).cast("array<string>"), "weight": F.lit(1.0)}
    absent |= {"backgrounds": absent["aliases"]}
    for name, text in columns.items():
        try:
            column = absent[name] if text is None else column_of(rows, text)
            kind = rows.select(column.alias(name)).schema[name].dataType
        except SPARK_ERRORS as error:
            raise InputError(
                f"{_KEY}.{name}={text!r} is no column or expression over {table.table}, which has "
                f"{rows.columns}: {reason(error)}"
            ) from error
        is_list = isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType)
        fits = {
            "concept": isinstance(kind, StringType),
            "weight": isinstance(kind, NumericType),
        }.get(name, is_list or isinstance(kind, StringType))
        if not fits:
            want = {"concept": "text", "weight": "a number"}.get(name, "an array of texts")
            raise InputError(f"{_KEY}.{name}={text!r} is {kind.simpleString()}; want {want}")
    return rows.select(
        *(
            (absent[name] if text is None else column_of(rows, text)).alias(name)
            for name, text in columns.items()
        )
    ).withColumn("weight", F.col("weight").cast("double"))
