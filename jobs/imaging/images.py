"""Images that were rendered: in their table, or as files beside the tables."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.reading.files import escaped
from jobs.tables.lake import Lake
from jobs.training.index import as_uri

_NAME = r"([^/]+)\.[a-z]+$"  # of a file, without its suffix


def folder_of(lake: Lake, config: RunConfig, stage_key: str) -> str | None:
    """Return the folder that images are written into; None if they stay in the table.

    Raises
    ------
    ConfigError
        If the tables are in a catalog, beside which there is no known folder.
    """
    if config.synthesis.images == "delta":
        return None
    if config.output.root is None:
        raise ConfigError(
            "synthesis.images='files': the tables are in a catalog, which has no folder for them; "
            "want output.root, or images: delta"
        )
    return f"{lake.address('images')}/{stage_key}"


def for_pyarrow(folder: str | None) -> str | None:
    """Return a folder as pyarrow names it."""
    return folder and as_uri(folder)


def contents_of(images: DataFrame, folder: str | None) -> DataFrame:
    """Return every image with its bytes : its columns, and value.

    Parameters
    ----------
    images : rows of ``synthetic_images``
    folder : what ``folder_of`` returned
    """
    if folder is None:
        return images.withColumn("value", F.col("image")).drop("image")
    files = images.sparkSession.read.format("binaryFile").load(escaped(folder))
    named = files.select(
        F.regexp_extract("path", _NAME, 1).alias("image_id"), F.col("content").alias("value")
    )
    return images.drop("image").join(named, on="image_id", how="left")
