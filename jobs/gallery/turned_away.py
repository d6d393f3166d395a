"""What gates turned away, to look at: it may be rubbish, or the tail that one came for."""

from dataclasses import dataclass

import pandas as pd

from jobs.gallery.nodes import Exemplar, exemplar_of


@dataclass(frozen=True)
class Gone:
    """A point that was turned away; beside it, if there is one, the point that stays for it."""

    point: Exemplar
    beside: Exemplar | None
    detail: str


def turned_away(picked: pd.DataFrame, looks: pd.DataFrame) -> list[tuple[str, list[Gone]]]:
    """Return what was turned away, by reason.

    Parameters
    ----------
    picked : id, beside_id or null, reason, detail, place
    looks : id, text, picture
    """
    by_id = {row["id"]: row for row in looks.to_dict("records")}

    def seen(id_: object) -> Exemplar:
        return exemplar_of(by_id.get(id_) or {"id": id_, "text": None, "picture": None})

    ordered = picked.sort_values(["reason", "place"], kind="stable")
    return [
        (
            str(reason),
            [
                Gone(
                    seen(row["id"]),
                    None if pd.isna(row["beside_id"]) else seen(row["beside_id"]),
                    str(row["detail"] or ""),
                )
                for row in mine.to_dict("records")
            ],
        )
        for reason, mine in ordered.groupby("reason", sort=True)
    ]
