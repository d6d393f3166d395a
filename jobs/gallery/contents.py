"""What a few points hold, to look at: a picture, the beginning of a text, or the metadata."""

import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.pool.columns import pool_columns
from jobs.pool.inputs import Pool
from udfs.examples import EXAMPLES_SCHEMA, make_examples


def contents(pool: Pool, config: RunConfig, ids: pa.ChunkedArray) -> pd.DataFrame:
    """Read the contents of a few points once more.

    Returns
    -------
    contents : id, text, words (of the text, or the metadata's values), picture (JPEG); null where
        there is none
    """
    only = pool.rows.sparkSession.createDataFrame(pa.table({"id": ids}))
    has_content = config.input.content is not None
    rows = pool_columns(pool, config.input, "content" if has_content else "embedding", only)
    if has_content:
        look = make_examples(opens_paths=chosen(config).spec.opens_paths)
        schema = EXAMPLES_SCHEMA.format(id=rows.schema["id"].dataType.simpleString())
        looked = (
            rows.select("id", "value").mapInArrow(look, schema).withColumn("words", F.col("text"))
        )
    else:
        entries = F.transform(
            F.map_entries("metadata"), lambda entry: F.concat(entry.key, F.lit(": "), entry.value)
        )
        text = F.when(F.size(entries) > 0, F.concat_ws(", ", entries))
        words = F.when(F.size(entries) > 0, F.concat_ws(" ", F.map_values("metadata")))
        picture = F.lit(None).cast("binary")
        shown = (text.alias("text"), words.alias("words"), picture.alias("picture"))
        looked = rows.select("id", *shown)
    found: pd.DataFrame = looked.toArrow().to_pandas()
    # rows that share an id come in any order
    ordered = found.sort_values(["text", "words", "picture"], kind="stable")
    return ordered.drop_duplicates("id")
