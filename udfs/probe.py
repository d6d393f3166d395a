"""Make a UDF that describes the worker it runs on."""

import os
import platform
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

import udfs

PROBE_SCHEMA = "python string, numpy string, udfs string, blas_threads string"


def make_probe() -> Any:
    """Return a UDF: any column -> STRUCT of PROBE_SCHEMA, the same on every row."""

    def probe(rows: pd.Series) -> pd.DataFrame:
        # looked up by name, so that the worker must import this very module
        return pd.DataFrame([worker_facts()] * len(rows), index=rows.index)

    return pandas_udf(probe, PROBE_SCHEMA)


def worker_facts() -> dict[str, str | None]:
    """Return this process's facts, columns of PROBE_SCHEMA; threads are null if not set."""
    limits = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "udfs": os.path.dirname(udfs.__file__ or ""),
        "blas_threads": next((os.environ[name] for name in limits if name in os.environ), None),
    }
