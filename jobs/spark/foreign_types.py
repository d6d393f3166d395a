"""Turn away tables whose schema names Python code.

A column of a Python user-defined type carries the name of a class, and a pickle of it, in the
table's own metadata. Reading such a schema in Python imports that module, and before Spark 4.2 runs
that pickle: whoever wrote the table would run code in the driver. So the JVM, which does neither,
is asked first. Types that Spark brings itself, as MLlib's vectors, are classes of the JVM and pass.
"""

import re
from typing import Any

from pyspark.sql import DataFrame

from jobs.config.errors import InputError
from jobs.spark.classic import schema_fields

_PYTHON_TYPE = re.compile(r"(^|[<:])pythonuserdefined\b")  # as the JVM calls it in a type's name


def refuse_python_types(rows: DataFrame, named: str) -> DataFrame:
    """Return rows back whose schema may be read in Python.

    Parameters
    ----------
    named : the table, as the message calls it

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
    """Tell whether a type, as the JVM writes it in JSON, is or holds a Python one."""
    if isinstance(kind, list):
        return any(map(_is_python, kind))
    if not isinstance(kind, dict):
        return False
    if kind.get("type") == "udt":
        return "class" not in kind
    return any(_is_python(kind.get(part)) for part in ("type", "elementType", "keyType",
                                                       "valueType", "fields"))  # fmt: skip
