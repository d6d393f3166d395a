"""Ids as people write and read them: text as is, integers in digits, binary in hex."""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType

from jobs.config.errors import InputError

Id = str | int | bytes


def is_id(id_: Id) -> Column:
    """Return a condition for one id, kept as a literal: none of its text becomes SQL."""
    return F.col("id") == F.lit(id_)


def shown(id_: Id | bytearray) -> str | int:
    """Return an id as people write it."""
    return id_.hex() if isinstance(id_, bytes | bytearray) else id_


def parse_id(text: str, kind: DataType) -> Id:
    """Parse an id of the pool's type, to be compared as a literal.

    Raises
    ------
    InputError
        If the text is not an id of that type.
    """
    if isinstance(kind, StringType):
        return _as_text(text)
    if isinstance(kind, BinaryType):
        return _as_bytes(text)
    n_bits = 32 if isinstance(kind, IntegerType) else 64
    if re.fullmatch(r"[+-]?[0-9]+", text) and -(2 ** (n_bits - 1)) <= int(text) < 2 ** (n_bits - 1):
        return int(text)
    raise InputError(f"id {text!r}: this pool's ids are {kind.simpleString()}; want a whole number")


def _as_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # command-line bytes that are not UTF-8
        raise InputError(f"id {text!r} is not text in UTF-8, as this pool's ids are") from error
    return text


def _as_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise InputError(
            f"id {text!r}: this pool's ids are binary; want hex, such as 00ff"
        ) from error
