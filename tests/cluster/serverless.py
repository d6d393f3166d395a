"""Curate through a gate that refuses what serverless refuses; print what was refused.

A Connect server answers all else itself. Refused, in spite of defaults: settings that serverless
does not know, and every cache.

python -m tests.cluster.serverless ADDRESS CONFIG ROOT
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import grpc
from pyspark.errors import PySparkException
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession

os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"

from jobs import curate
from jobs.config.loading import load_config

ALLOWED = ("spark.sql.session.timeZone", "spark.sql.shuffle.partitions")
OWN = (  # read by the client itself
    "spark.python.",
    "spark.connect.",
    "spark.sql.session.",
    "spark.sql.execution.",
    "spark.sql.pyspark.",
    "spark.sql.timestampType",
)


class Gate(grpc.UnaryUnaryClientInterceptor):
    """Raises in place of what serverless refuses."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], details: Any, request: Any
    ) -> Any:
        """Pass a request on, or refuse it."""
        if details.method.endswith("/Config"):
            kind = request.operation.WhichOneof("op_type")
            asked = getattr(request.operation, kind)
            keys = getattr(asked, "keys", None) or [pair.key for pair in asked.pairs]
            for key in keys:
                if key not in ALLOWED and not (kind.startswith("get") and key.startswith(OWN)):
                    self._refuse(f"{kind} {key}")
        if details.method.endswith("/AnalyzePlan"):
            kind = request.WhichOneof("analyze")
            if kind in ("persist", "unpersist"):
                self._refuse(kind)
        return continuation(details, request)

    def _refuse(self, what: str) -> None:
        self.refused.add(what)
        raise PySparkException(f"[NOT_AVAILABLE_ON_SERVERLESS] {what}")


def main(address: str, config: str, root: str) -> None:
    """Curate, and print the refusals."""
    gate, builder = Gate(), DefaultChannelBuilder(address)
    builder.add_interceptor(gate)  # type: ignore[arg-type]  # its stub knows one kind
    spark: Any = SparkSession.builder.channelBuilder(builder).create()
    print(curate.run(spark, load_config(config, [f"output.root={root}"])))
    print(sorted(gate.refused))


if __name__ == "__main__":
    main(*sys.argv[1:])
