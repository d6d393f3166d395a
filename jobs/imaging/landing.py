"""Images embedded as the pool was, before they are routed down its tree."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.embedding.chosen import chosen
from jobs.points.alike import embedded_alike
from jobs.runs.stage import Stage
from jobs.runs.work import Work


def embedded(this: Work, images: DataFrame, stage: Stage[Any]) -> DataFrame:
    """Embed images by what the run has learned, and mark what is wrong with each.

    Parameters
    ----------
    images : image_id, value
    stage : the stage that embedded the pool

    Returns
    -------
    gated : id (the image's), embedding, norm, reason, detail

    Raises
    ------
    ConfigError
        If the run's embedder takes no images.
    """
    spec, model = chosen(this.config).spec, this.config.embed.model
    if spec.fit is None or spec.makes == "text":
        raise ConfigError(
            f"embed.model={model!r} embeds no images, so it cannot tell where they land; want a "
            "run with a model of images, such as pixels"
        )
    nothing = F.lit(None).cast("map<string,string>")
    rows = images.select(F.col("image_id").alias("id"), "value", nothing.alias("metadata"))
    return embedded_alike(this, stage, rows, "synthetic_images")
