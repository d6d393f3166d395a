"""The history of runs: which state they are in, and which supersede which."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.config.errors import ConfigError
from jobs.ledger.events import Event
from jobs.recipe import RECIPE
from tests.jobs.tiny import CLUSTER, EMBED, GIVEN, REPORT, SAMPLE, TUNE
from tests.past.recorded_runs import AUTO, config_of, history_of, told, whole

Steps = list[tuple[str, str]]


def superseded(events: list[Event], published: dict[str, str] | None = None) -> list[bool]:
    """Return for every run, oldest first, whether it is superseded."""
    history = history_of(events, published)
    return [history.is_superseded(run) for run in reversed(history.runs)]


def state_of(events: list[Event]) -> str:
    history = history_of(events)
    return history.runs[0].state


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([(EMBED, "started")], "unfinished"),
        ([(EMBED, "started"), (EMBED, "finished")], "unfinished"),
        ([(EMBED, "reused"), (CLUSTER, "started"), (CLUSTER, "failed")], "failed"),
        ([(EMBED, "failed"), (EMBED, "finished"), (REPORT, "finished")], "finished"),
        ([(REPORT, "finished"), (EMBED, "reused")], "finished"),
        ([(REPORT, "finished"), (EMBED, "cleaned"), (EMBED, "started")], "unfinished"),
    ],
)
@pytest.mark.parametrize("stages", [None, ()], ids=["stages told", "an older ledger"])
def test_a_runs_state_is_that_of_its_stages(
    steps: Steps, state: str, stages: tuple[str, ...] | None
) -> None:
    assert state_of(told(config_of(), 0, 0, *steps, stages=stages)) == state


def test_a_run_with_open_levels_ends_with_its_report_too() -> None:
    steps = [(stage, "finished") for stage in (EMBED, TUNE, CLUSTER, SAMPLE, REPORT)]
    config = config_of(*AUTO)
    assert state_of(told(config, 0, 0, *steps)) == "finished"
    assert state_of(told(config, 0, 0, *steps[:-1])) == "unfinished"
    assert state_of(told(config, 0, 0, steps[-1])) == "finished"  # a lone report


@pytest.mark.parametrize("ends", [["started", "failed"], ["started"], ["finished", "cleaned"]])
@pytest.mark.parametrize("is_whole", [True, False])
def test_what_is_done_beside_a_run_leaves_its_state(ends: list[str], is_whole: bool) -> None:
    run = whole(config_of(), 0, 0)[: None if is_whole else -1]
    beside = told(config_of(), 0, 1, *(("score_learnability", event) for event in ends))
    history = history_of([*run, *beside], running=frozenset({"score_learnability"}))
    assert history.state_of(history.runs[0]) == ("finished" if is_whole else "unfinished")
    told_of = history.runs[0].stages["score_learnability"]
    assert told_of.event == next(event for event in reversed(ends) if event != "cleaned")
    assert history.is_active(history.runs[0], beside[-1].at)  # its rows must stay


def test_every_round_beside_a_run_is_known_by_its_key() -> None:
    one, other = (
        [replace(e, stage_key=key) for e in told(config_of(), 0, hour, *steps)]
        for hour, key, steps in [
            (1, "first", [("score_learnability", "started"), ("score_learnability", "finished")]),
            (2, "second", [("score_learnability", "failed")]),
        ]
    )
    (run,) = history_of([*whole(config_of(), 0, 0), *one, *other]).runs
    assert [(e.stage_key, e.event) for e in run.beside] == [
        ("first", "finished"), ("second", "failed")
    ]  # fmt: skip
    assert [*run.own] == [*GIVEN]


def test_a_stage_of_another_version_has_to_end_too() -> None:
    stages = (*GIVEN, "tell_fortunes")
    ends = [(stage, "finished") for stage in stages]
    assert state_of(told(config_of(), 0, 0, *ends[:-1], stages=stages)) == "unfinished"
    assert state_of(told(config_of(), 0, 0, *ends, stages=stages)) == "finished"


def test_a_finished_run_whose_rows_are_gone_is_cleaned() -> None:
    events = whole(config_of(), 0, 0)
    history = history_of([*events, *told(config_of(), 0, 1, (CLUSTER, "cleaned"))])
    assert history.state_of(history.runs[0]) == "cleaned"


def test_a_run_is_running_while_a_process_is_at_its_stage() -> None:
    events = told(config_of(), 0, 0, (EMBED, "started"))
    history = history_of(events, running=frozenset({events[0].stage_key}))
    assert history.state_of(history.runs[0]) == "running"


@pytest.mark.parametrize(
    ("steps", "is_active"),
    [
        ([(EMBED, "started"), (EMBED, "finished")], True),  # the next stage is to come
        ([(EMBED, "started"), (EMBED, "failed")], False),
        ([(EMBED, "started")], False),  # nothing is working on it
        ([(stage, "finished") for stage in GIVEN], False),
        ([(REPORT, "finished")], False),
    ],
)
def test_a_run_may_be_between_two_stages_for_an_hour(steps: Steps, is_active: bool) -> None:
    events = told(config_of(), 0, 0, *steps)
    history = history_of(events)
    last = events[-1].at
    assert history.is_active(history.runs[0], last + timedelta(minutes=59)) == is_active
    assert not history.is_busy(last + timedelta(minutes=61))


# --- superseded -----------------------------------------------------------------------------------


def test_a_run_is_superseded_by_a_later_finished_run_of_its_lineage() -> None:
    config, other = config_of(), config_of("seed=1")
    assert superseded(whole(config, 0, 0) + whole(config, 1, 1)) == [True, False]
    assert superseded(whole(config, 0, 0) + whole(other, 0, 1)) == [False, False]
    broken = [(EMBED, "started"), (EMBED, "failed")]
    assert superseded(whole(config, 0, 0) + told(config, 1, 1, *broken)) == [False, False]
    assert superseded(told(config, 0, 0, *broken) + whole(config, 1, 1)) == [True, False]


def test_a_run_whose_sample_is_published_is_current() -> None:
    events = whole(config_of(), 0, 0)
    later = whole(config_of("samples.0.name=t"), 1, 1)
    assert superseded(events + later, {"s": events[0].run_id}) == [False, False]


def test_lineages_that_blanked_text_may_tell_apart_supersede_nothing() -> None:
    odd = config_of("input.where=\"token = 'a'\"")
    assert superseded(whole(odd, 0, 0) + whole(odd, 1, 1)) == [False, False]


def test_a_lone_report_stands_on_the_stages_before_it() -> None:
    config = config_of(*AUTO)
    chosen = {"share_leaves": 0.5, "level_1": 9.0, "rounds_1": 3.0, "level_2": 4.0, "rounds_2": 3.0}
    chosen |= {
        "n_sampled": 60,
        "n_tried": 9,
        "relative_coverage": 0.9,
        "best_relative_coverage": 0.9,
    }
    tuned = [replace(e, metrics=chosen) for e in told(config, 0, 0, (TUNE, "finished"))]
    labelled = config_of(*AUTO, "report.label=label")
    history = history_of(tuned + told(labelled, 0, 1, (REPORT, "finished")))
    resolved = RECIPE.resolved(labelled, {TUNE: chosen})
    assert resolved.cluster.levels == [9, 4]
    expected = RECIPE.keys(labelled, "pool@0", resolved=resolved)
    used = history.keys_of(history.runs[0])
    assert {expected[stage] for stage in (EMBED, CLUSTER, SAMPLE, REPORT)} <= used
    assert tuned[0].stage_key in used


# --- found by name --------------------------------------------------------------------------------


def two_runs(named: Sequence[str]) -> list[Event]:
    events = [told(config_of(), i, i, (EMBED, "finished")) for i in range(len(named))]
    return [replace(e, run_id=name) for name, (e,) in zip(named, events, strict=True)]


def test_a_run_is_found_by_the_beginning_of_its_name() -> None:
    history = history_of(two_runs(["0123abcd", "0199ffff"]))
    assert history.find("012").run_id == "0123abcd"
    with pytest.raises(ConfigError, match="2 runs begin so: 0199ffff, 0123abcd"):
        history.find("01")


def test_an_almost_right_run_id_is_answered_with_the_right_one() -> None:
    history = history_of(two_runs(["0123abcd", "89999999"]))
    with pytest.raises(ConfigError, match=r"no such run; did you mean 0123abcd\?"):
        history.find("0123abce")
    with pytest.raises(ConfigError, match="'x': no such run; evenlake runs lists all 2"):
        history.find("x")
