"""What gates turned away, to look at: it may be rubbish, or the tail that the user is after."""

from dataclasses import dataclass

import pandas as pd

from jobs.gallery.nodes import Exemplar, exemplar_of


@dataclass(frozen=True)
class Gone:
    """Points that were turned away, each with its reason, and the point that stays for them."""

    points: list[tuple[Exemplar, str]]
    beside: Exemplar | None


def turned_away(picked: pd.DataFrame, looks: pd.DataFrame) -> list[tuple[str, list[Gone]]]:
    """Return what was turned away, by reason.

    Parameters
    ----------
    picked : id, beside_id or null, reason, detail, group, place
    looks : id, text, picture
    """
    by_id = {row["id"]: row for row in looks.to_dict("records")}

    def seen(id_: object) -> Exemplar:
        return exemplar_of(by_id.get(id_) or {"id": id_, "text": None, "picture": None})

    def gone(group: pd.DataFrame) -> Gone:
        rows = group.to_dict("records")
        stays = rows[0]["beside_id"]
        points = [(seen(row["id"]), str(row["detail"] or "")) for row in rows]
        return Gone(points, None if pd.isna(stays) else seen(stays))

    ordered = picked.sort_values(["reason", "group", "place"], kind="stable")
    return [
        (str(reason), [gone(group) for _, group in mine.groupby("group", sort=False)])
        for reason, mine in ordered.groupby("reason", sort=True)
    ]
