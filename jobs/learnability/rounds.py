"""Rounds of draws, with training between them: by a Python function, or by a command."""

import logging
import os
import shutil
import subprocess  # nosec B404 # for the user's own command
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError, CurationError
from jobs.config.model import RunConfig
from jobs.sections.learnability import FORMS, LossesConfig, TrainerConfig
from jobs.spark.naming import path_of

log = logging.getLogger(__name__)

_DONE = "trained"  # an empty file that marks a successful command


class Selection(NamedTuple):
    """What a round drew.

    Attributes
    ----------
    rows : id, key; the larger the key, the earlier it was drawn
    name : identifies the selection: different selections have different names
    seed : the run's seed
    """

    round: int
    rows: DataFrame
    name: str
    seed: int

    def ids(self) -> pa.ChunkedArray:
        """Return the ids on the driver, shuffled, the same way every time."""
        turn = F.xxhash64("id", F.lit("learnability.turn"), F.lit(self.seed))
        table = self.rows.select("id", turn.alias("turn")).toArrow()
        return table.sort_by([("turn", "ascending"), ("id", "ascending")])["id"]


# Trains on a selection; returns keys of learnability.online that change, such as its table.
Trainer = Callable[[Selection], Mapping[str, Any] | None]
Round = Callable[[RunConfig], Selection]


def each_round(
    config: RunConfig, do: Round, train: Trainer | None, *, may_train: bool = True
) -> Iterator[Selection]:
    """Run the config's rounds one after the other; train after each, and use the new losses.

    Parameters
    ----------
    may_train : whether the config's command is run; otherwise what it has left is found

    Raises
    ------
    ConfigError
        If it may not be run, and has not been yet.
    """
    given = config.learnability
    if train is None and given.trainer is not None:
        train = CommandTrainer(given.trainer, may_train)
    for round_ in range(given.round, given.round + given.n_rounds):
        selection = do(config)
        yield selection
        changes = None if train is None else train(selection) or {}
        config = _next_round(config, round_ + 1, changes)


def _next_round(config: RunConfig, round_: int, changes: Mapping[str, Any] | None) -> RunConfig:
    """Return the config of the next round; losses that training changed have no fingerprint yet."""
    given = config.learnability
    update: dict[str, Any] = {"round": round_}
    for side, losses in given.sides.items():
        is_trained = side == "online" and changes is not None
        if is_trained or losses.is_by_round:
            update[side] = _changed(losses, changes or {} if is_trained else {})
    return config.model_copy(update={"learnability": given.model_copy(update=update)})


def _changed(losses: LossesConfig, changes: Mapping[str, Any]) -> LossesConfig:
    unknown = set(changes) - set(LossesConfig.model_fields)
    if unknown:
        raise ConfigError(
            f"the trainer returned {dict(changes)!r:.200}: {sorted(unknown)} are no keys of "
            "learnability.online; want what has changed there, such as {'table': ...}, or None"
        )
    plain = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in changes.items()}
    try:
        return LossesConfig.model_validate(losses.model_dump() | {"fingerprint": None, **plain})
    except ValidationError as error:
        raise ConfigError(
            f"the trainer returned {dict(changes)!r:.200}, which does not fit learnability.online: "
            f"{error.errors()[0]['msg']}"
        ) from error


def one_round(argv: Sequence[str]) -> list[str]:
    """Write ``--round N`` as the keys of the config that it stands for.

    Raises
    ------
    ConfigError
        If it is not a number.
    """
    words = [*argv]
    for i, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--round":
            value, n_words = (value, 1) if value else (" ".join(words[i + 1 : i + 2]), 2)
            if not value.isdecimal():
                raise ConfigError(f"--round {value}: want the number of a round, from 0")
            keys = [f"learnability.round={value}", f"learnability.rounds={int(value) + 1}"]
            return [*words[:i], *keys, *words[i + n_words :]]
    return words


@dataclass(frozen=True)
class CommandTrainer:
    """Runs a command on a selection's ids, ``selection.parquet``; it leaves the next losses.

    Results are kept under a selection's name, so that a repeated run trains on none twice.
    """

    given: TrainerConfig
    may_train: bool = True

    def __call__(self, selection: Selection) -> Mapping[str, Any]:
        """Train, unless that was done; return where the losses are.

        Raises
        ------
        CurationError
            If the command fails.
        ConfigError
            If it may not be run, and has not been yet.
        """
        from filelock import FileLock  # only commands that train need it

        folder = Path(path_of(self.given.folder)) / f"round_{selection.round}_{selection.name}"
        ids, losses = folder / "selection.parquet", folder / "losses"
        left = {name: None for name in ("format", "where", "version", "id", *FORMS)}
        changes = left | {"table": str(losses), "options": {}, "model_options": {}, "reads": []}
        if not self.may_train:
            if not (folder / _DONE).exists():
                raise ConfigError(
                    f"learnability.trainer has not trained on round {selection.round} yet; run "
                    "evenlake learnability"
                )
            return changes
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):  # another process may be training on the same selection
            if not (folder / _DONE).exists():
                shutil.rmtree(losses, ignore_errors=True)  # left by a killed command
                pq.write_table(pa.table({"id": selection.ids()}), ids)
                self._run(selection.round, ids, losses)
                (folder / _DONE).touch()
        return changes

    def _run(self, round_: int, ids: Path, losses: Path) -> None:
        names = {"round": str(round_), "selection": str(ids), "losses": str(losses)}
        command = list(self.given.command)
        for name, value in names.items():
            command = [word.replace(f"{{{name}}}", value) for word in command]
        env = os.environ | {f"EVENLAKE_{name.upper()}": value for name, value in names.items()}
        log.info("round=%d command=%s", round_, command[0])
        try:
            done = subprocess.run(command, env=env, check=False)  # nosec B603 # without a shell
        except OSError as error:
            raise CurationError(
                f"learnability.trainer.command: {command[0]} cannot be started: {error.strerror}"
            ) from error
        if done.returncode != 0:
            raise CurationError(
                f"learnability.trainer.command ended with code {done.returncode} after round "
                f"{round_}; fix it, and run again: rounds that were drawn are kept, and it is run "
                f"on {ids} again"
            )
