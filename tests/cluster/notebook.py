"""Run a notebook's cells top to bottom, as Databricks does; print what it displays.

python tests/cluster/notebook.py NOTEBOOK
"""

import sys
from pathlib import Path

HEADER = "# Databricks notebook source\n"
MAGIC = "# MAGIC "


def cells_of(source: str) -> list[str]:
    """Return a notebook's cells."""
    return [cell.strip() for cell in source.removeprefix(HEADER).split("# COMMAND ----------")]


def main(path: str) -> None:
    """Run all cells in one namespace; magics are the platform's."""
    shown: list[str] = []
    namespace = {"displayHTML": shown.append, "__name__": "__main__"}
    for number, cell in enumerate(cells_of(Path(path).read_text())):
        if not cell.startswith(MAGIC):
            exec(compile(cell, f"cell {number}", "exec"), namespace)
    for html in shown:
        print(f"displayed: {len(html)} characters of HTML, {html.count('<svg')} svg")


if __name__ == "__main__":
    main(sys.argv[1])
