"""Reject tables whose schema names Python code.

A column of a Python user-defined type carries a class name, and a pickle of the class, in the
table's own metadata. Reading such a schema in Python imports that module, and before Spark 4.2 runs
that pickle: whoever wrote the table could run code in the driver. So the JVM, which does neither,
checks first. Spark's own types, such as MLlib's vectors, are JVM classes and pass.
"""

import re
from typing import Any

from pyspark.sql import DataFrame

from jobs.config.errors import InputError
from jobs.spark.classic import schema_fields

_PYTHON_TYPE = re.compile(r"(^|[<:])pythonuserdefined\b")  # the JVM's name for such types


def refuse_python_types(rows: DataFrame, named: str) -> DataFrame:
    """Return the rows if their schema is safe to read in Python.

    Parameters
    ----------
    named : the table, as the message should name it

    Raises
    ------
    InputError
        If a column is, or holds, a Python user-defined type.
    """
    fields = schema_fields(rows)
    if fields is None:
        found = rows.sparkSession.sql("DESCRIBE QUERY SELECT * FROM {rows}", rows=rows).collect()
        foreign = [row.col_name for row in found if _PYTHON_TYPE.search(row.data_type)]
    else:
        foreign = [field["name"] for field in fields if _is_python(field["type"])]
    if foreign:
        raise InputError(
            f"{named} holds Python user-defined types, whose code the table itself would bring, in "
            f"{foreign}; want plain types: write it again without these columns"
        )
    return rows


def _is_python(kind: Any) -> bool:
    """Return whether a type, as the JVM's JSON, is or contains a Python one."""
    if isinstance(kind, list):
        return any(map(_is_python, kind))
    if not isinstance(kind, dict):
        return False
    if kind.get("type") == "udt":
        return "class" not in kind
    return any(_is_python(kind.get(part)) for part in ("type", "elementType", "keyType",
                                                       "valueType", "fields"))  # fmt: skip
