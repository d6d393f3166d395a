"""Tokenize texts as the files beside a model in ONNX say."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKENIZER = "tokenizer.json"
# where a length may stand, and its key, most specific first
_LENGTHS = {
    "sentence_bert_config.json": "max_seq_length",
    "tokenizer_config.json": "model_max_length",
}
BESIDE = (TOKENIZER, *_LENGTHS)
_NO_LIMIT = 1_000_000  # tokenizers without one carry 1e30


class Tokenize:
    """A function: texts -> the ids of their tokens, cut to the length that the model reads."""

    def __init__(self, files: Mapping[str, Path], max_length: int | None) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tasks share the cores already
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(files[TOKENIZER]))
        self._pad = int((self._tokenizer.padding or {}).get("pad_id", 0))
        own = (self._tokenizer.truncation or {}).get("max_length")
        self.max_length = max_length or _told_length(files) or own
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._whole = Tokenizer.from_str(self._tokenizer.to_str())
        if self.max_length:
            self._tokenizer.enable_truncation(int(self.max_length))

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        """Return the tokens of each text, cut."""
        return list(self._tokenizer.encode_batch(list(texts)))

    def n_cut(self, texts: Sequence[Any]) -> int:
        """Return how many texts are cut."""
        texts = [text for text in texts if isinstance(text, str)]
        if not self.max_length or not texts:
            return 0
        return sum(len(row) > self.max_length for row in self._whole.encode_batch(list(texts)))

    def padded(
        self, rows: Sequence[Any], n_rows: int | None, length: int | None
    ) -> dict[str, NDArray[np.int64]]:
        """Return the model's inputs for some texts, padded : (n, n_tokens) each.

        Parameters
        ----------
        n_rows, length : fixed numbers of texts and tokens, for a model that takes no others
        """
        shape = n_rows or len(rows), length or max(len(row) for row in rows)
        feed = {
            "input_ids": np.full(shape, self._pad, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for i, row in enumerate(rows):
            feed["input_ids"][i, : len(row)] = row.ids
            feed["attention_mask"][i, : len(row)] = row.attention_mask
            feed["token_type_ids"][i, : len(row)] = row.type_ids
        return feed


def _told_length(files: Mapping[str, Path]) -> int | None:
    for name, key in _LENGTHS.items():
        if name in files:
            told = json.loads(files[name].read_text(encoding="utf-8")).get(key)
            if told and told < _NO_LIMIT:
                return int(told)
    return None
