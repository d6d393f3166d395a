"""Choose the columns of a first config from what the first rows hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from jobs.config.errors import ConfigError
from jobs.reading.names import ENDINGS
from jobs.spark.naming import quote
from jobs.starting.found import Found
from jobs.starting.tables import require_names

Modality = Literal["text", "images", "vectors"]

_MODELS: dict[Modality, str] = {"text": "lsa", "images": "pixels", "vectors": "precomputed"}
# Names that people give to such columns, the likeliest first.
_IDS = (
    "id", "_id", "doc_id", "uuid", "guid", "key", "url", "path", "file_name", "filename", "name",
)  # fmt: skip
_TEXTS = (
    "text", "content", "body", "document", "article", "caption", "description", "abstract",
    "sentence", "question", "prompt", "instruction", "message", "review", "title", "value",
)  # fmt: skip
_VECTORS = ("embedding", "embeddings", "vector", "vectors", "features", "emb")
_LABELS = (
    "label", "labels", "class", "category", "topic", "section", "genre", "species", "digit", "lang",
    "language", "source", "domain", "type", "split",
)  # fmt: skip
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
_MOST_LABELS = 100  # different values in the first rows
_UUID_BYTES = 16
_LEAST_OF_TEXT = 16  # components of a vector written as text, if the name does not suggest a vector
_LONGEST_ID = 200  # characters on average, if the name does not suggest an id
_NO_ID = "no column here differs on every row; better name one that does"


@dataclass(frozen=True)
class Choice:
    """The columns and the embedder of a first config; ``others`` would do as well, by key."""

    model: str
    id: str
    content: str | None = None
    embedding: str | None = None
    metadata: Sequence[str] | None = None
    label: str | None = None
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def choose(found: Found, modality: Modality | None = None) -> Choice:
    """Choose columns; a form that has columns of its own, such as a folder of images, decides.

    Parameters
    ----------
    modality : what the user says that the pool holds; None to find out

    Raises
    ------
    ConfigError
        If there is no such column.
    """
    if found.model is not None:
        return _of_form(found, modality)
    if not found.rows:
        return _unseen(modality or "text")
    names = dict.fromkeys(name for row in found.rows for name in row if isinstance(name, str))
    require_names([*names])
    columns = {name: [row.get(name) for row in found.rows] for name in names}
    kinds = _by_kind(columns)
    chosen = modality or next((kind for kind in kinds if kinds[kind]), None)
    if chosen is None or not kinds[chosen]:
        raise ConfigError(
            f"{found.table!r} has no column of {chosen or 'texts, images or vectors'}; it has "
            f"{', '.join(columns) or 'no rows'}"
        )
    value, *rest = kinds[chosen]
    taken = {value.partition(".")[0], *kinds["vectors"]}
    ids = _named_first(_IDS, [c for c in columns if c not in taken and _is_id(c, columns[c])])
    labels = [c for c in columns if c not in {*taken, *ids[:1]} and _is_label(columns[c])]
    labels = _named_first(_LABELS, [*found.partitions, *labels])
    key = "embedding" if chosen == "vectors" else "content"
    return Choice(
        model=_MODELS[chosen],
        id=_as_id(ids[0], columns[ids[0]]) if ids else _made_id(found, value),
        content=value if key == "content" else None,
        embedding=value if key == "embedding" else None,
        metadata=labels,
        label=_label(labels),
        others={"id": ids[1:], key: rest},
        notes={} if ids else {"id": _NO_ID},
    )


def _of_form(found: Found, modality: Modality | None) -> Choice:
    fits = {model: kind for kind, model in _MODELS.items()}[str(found.model)]
    if modality not in (None, fits):
        raise ConfigError(f"{found.table!r} is {found.what}; want --{fits} instead of --{modality}")
    labels = found.columns.get("metadata", ())
    return Choice(
        str(found.model),
        id=found.columns["id"],
        content=found.columns.get("content"),
        embedding=found.columns.get("embedding"),
        metadata=labels or None,
        label=_label(labels),
    )


def _by_kind(columns: Mapping[str, list[Any]]) -> dict[Modality, list[str]]:
    """Return the columns that could be embedded, the likeliest first, by what they hold."""
    vectors = _named_first(_VECTORS, filter(lambda c: _is_vector(c, columns[c]), columns))
    texts = _named_first(_TEXTS, sorted(_texts(columns), key=lambda c: -_length(columns[c])))
    return {
        "vectors": vectors,
        "images": [path for name in columns if (path := _image(name, columns[name]))],
        "text": [name for name in texts if name not in vectors],
    }


def _unseen(modality: Modality) -> Choice:
    """Return what fits most pools of a kind; the notes ask for the rest."""
    value = {"text": "text", "images": "image", "vectors": "embedding"}[modality]
    key = "embedding" if modality == "vectors" else "content"
    notes = {
        "id": "FILL IN: the column that names every row",
        key: f"FILL IN: the column of {'texts' if modality == 'text' else modality}",
        "metadata": "columns to keep beside every point, such as [label, url]",
    }
    content, embedding = (value, None) if key == "content" else (None, value)
    return Choice(_MODELS[modality], "id", content, embedding, metadata=(), notes=notes)


def _named_first(names: Sequence[str], columns: Any) -> list[str]:
    """Sort columns by how likely their names are; others stay in order, at the end."""
    rank = {name: i for i, name in enumerate(names)}
    return sorted(dict.fromkeys(columns), key=lambda c: rank.get(c.lower(), len(rank)))


def _is_vector(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column holds lists of numbers of one length.

    Lists as text may be boxes and the like: unless the name says so, they have to be long.
    """
    present = [_listed(value) for value in values if value is not None]
    lengths = {len(value) if isinstance(value, list) else 0 for value in present}
    is_text = any(isinstance(value, str) for value in values)
    least = _LEAST_OF_TEXT if is_text and name.lower() not in _VECTORS else 2
    if len(lengths) != 1 or max(lengths) < least:
        return False
    return all(isinstance(x, int | float | Decimal) for x in present[0])


def _listed(value: Any) -> Any:
    """Return a list that is written as text, such as pgvector's, as a list."""
    if not isinstance(value, str) or not re.fullmatch(r"\s*\[[^][]*\]\s*", value):
        return value
    parts = value.strip().strip("[]")
    try:
        return [float(part) for part in re.split(r"\s*,\s*|\s+", parts.strip())]
    except ValueError:
        return value


def _image(name: str, values: Sequence[Any]) -> str | None:
    """Return the column or the field that holds images, or paths of images; None if none does."""
    present = [value for value in values if value is not None][:20]
    if present and all(isinstance(value, dict) and "bytes" in value for value in present):
        inner = _image(name, [value["bytes"] for value in present])
        return inner and f"{name}.bytes"
    is_image = [
        value[:4].startswith(_IMAGE_STARTS)
        if isinstance(value, bytes)
        else isinstance(value, str) and value.lower().endswith(ENDINGS["binaryFile"])
        for value in present
    ]
    return name if is_image and all(is_image) else None


def _texts(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the columns of texts: by name, or long enough to say something, and no label."""
    texts = [c for c in columns if all(isinstance(v, str | None) for v in columns[c])]
    texts = [c for c in texts if any(columns[c])]
    return [c for c in texts if c.lower() in _TEXTS or not (_is_label(columns[c]) or c in _IDS)]


def _length(values: Sequence[Any]) -> float:
    return sum(len(str(value)) for value in values) / max(1, len(values))


def _is_id(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column may be the id: text, whole numbers or UUIDs, no two rows alike."""
    kinds = {type(value) for value in values}
    if kinds not in ({str}, {int}, {Decimal}, {bytes}) or len(set(values)) < len(values):
        return False
    if kinds == {bytes} and {len(value) for value in values} != {_UUID_BYTES}:
        return False
    return name.lower() in _IDS or _length(values) <= _LONGEST_ID


def _as_id(column: str, values: Sequence[Any]) -> str:
    """Return a column as an id: whole numbers beyond 64 bits, and decimals, as text."""
    is_wide = any(isinstance(v, int) and not -(2**63) <= v < 2**63 for v in values)
    if is_wide or any(isinstance(v, Decimal) for v in values):
        return f"cast({_quoted(column)} as string)"
    return _quoted(column)


def _is_label(values: Sequence[Any]) -> bool:
    """Return whether a column holds few values, each of several rows."""
    present = [value for value in values if value is not None]
    if not present or not all(isinstance(v, str | int | bool | Decimal) for v in present):
        return False
    return 2 <= len(set(present)) <= min(_MOST_LABELS, len(present) / 2) and _length(present) <= 50


def _label(columns: Sequence[str]) -> str | None:
    """Return the column whose balance the report shows: one with a label's name."""
    return next((c for c in columns if c.lower() in _LABELS), None)


def _quoted(column: str) -> str:
    """Return a column as a SQL expression, as ``input.id`` is one."""
    return column if re.fullmatch(r"[A-Za-z_]\w*", column, re.ASCII) else quote(column)


def _made_id(found: Found, value: str) -> str:
    """Return an id for rows without one: Parquet's place in its file, else the content's hash."""
    if found.what == "Parquet":
        return "concat_ws('#', _metadata.file_name, _metadata.row_index)"
    return f"sha2(cast({_quoted(value)} as string), 256)"
