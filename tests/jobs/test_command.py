"""The command line: exit codes, the last line, --result, overrides, help."""

import json
import logging
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import cluster_levels, curate, embed_pool, write_example
from jobs.__main__ import COMMANDS
from jobs.__main__ import main as evenlake
from jobs.config.model import as_dict
from tests.jobs.tiny import SECRET, config_of, write_pool

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool and the config beside it."""
    folder = tmp_path_factory.mktemp("command")
    write_pool(spark, folder / "pool", 40)
    (folder / "my.yaml").write_text(yaml.safe_dump(as_dict(config_of(folder))))
    return folder


def last_line(capsys: Capture) -> str:
    """Return the last line of stderr, checking that no traceback precedes it."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "\tat " not in error
    return error.splitlines()[-1]


def test_curate_ends_with_the_samples_and_the_report(folder: Path, capsys: Capture) -> None:
    arguments = ["--config", f"{folder}/my.yaml", "--result", f"{folder}/result.json"]
    assert evenlake(["curate", *arguments, "cluster.max_iter=5", "--samples.0.target_size=12"]) == 0
    *_, sample, report = capsys.readouterr().out.splitlines()
    assert sample == f"sample s: {folder}/lake/sample_s"
    page = Path(report.removeprefix("report: ")).read_text()
    assert "target_size: 12" in page
    assert "max_iter: 5" in page

    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "ok"
    assert Path(report).stem == result["run_id"]
    assert list(result["stage_keys"]) == [
        "embed_pool",
        "find_duplicates",
        "gate_outliers",
        "tune_tree",
        "cluster_levels",
        "balance_sample",
        "report_curation",
    ]
    assert result["reused"] == []
    ((pool, fingerprint),) = result["inputs"].items()
    assert pool == f"{folder}/pool"
    assert fingerprint.endswith("@0")
    assert result["tables"] == {
        t: f"{folder}/lake/{t}" for t in ("nodes", "assignments", "samples", "sample_s")
    }


@pytest.mark.parametrize(
    ("override", "message"),
    {
        "cluster.max_iter=none": "config: cluster.max_iter='none': want a whole number",
        "--full-refreshed": (
            "config: override '--full-refreshed': want key.sub=value, such as cluster.max_iter=20"
        ),
        "input.table=/nowhere/at/all": (
            "error: input.table='/nowhere/at/all' cannot be read: [PATH_NOT_FOUND] Path does not "
            "exist: file:/nowhere/at/all; want a path that this session can read"
        ),
        "input.embedding=label": (
            "error: input.embedding='label' is string; want an array of numbers, or binary "
            "holding raw little-endian float32"
        ),
        "input.where=id is null": (
            "error: the pool is empty: no row is left to curate; check input.where"
        ),
        f"input.table=s3://me:{SECRET}@bucket/pool": (
            "error: input.table='s3://***@bucket/pool' cannot be read: "
            'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"; '
            "want a path that this session can read"
        ),
    }.items(),
)
def test_a_users_error_exits_with_2_and_one_clear_line(
    folder: Path, tmp_path: Path, capsys: Capture, override: str, message: str
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", "--result", f"{tmp_path}/result.json"]
    assert curate.main([*arguments, f"output.root={tmp_path}/lake", override]) == 2
    assert last_line(capsys) == message
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == message.partition(": ")[2]


def test_a_guard_exits_with_3(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["--config", f"{folder}/my.yaml", "input.id=label"]
    assert curate.main([*arguments, f"output.root={tmp_path}/lake"]) == 3
    assert last_line(capsys) == (
        "error: 40 of 40 rows were rejected (duplicate_id 40), so that none is left; the rejects "
        "table names each row: fix the pool"
    )


def test_an_unexpected_error_exits_with_1_and_keeps_its_secrets(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"403 from https://me:{SECRET}@host/\nthe answer's second line")

    monkeypatch.setattr(embed_pool, "gate_rows", fail)
    with caplog.at_level(logging.ERROR):
        arguments = ["--config", f"{folder}/my.yaml", f"output.root={tmp_path}/lake"]
        assert embed_pool.main(arguments) == 1
    assert last_line(capsys) == "error: RuntimeError: 403 from https://***@host/"
    assert "Traceback" in caplog.text  # in the log, for whoever fixes it
    assert SECRET not in caplog.text


def test_a_stage_whose_input_is_not_there_says_what_to_run(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", f"output.root={tmp_path}/lake"]
    assert cluster_levels.main(arguments) == 2
    assert last_line(capsys).endswith("; run it first, or run curate, which runs every stage")


def test_a_result_that_cannot_be_written_is_told_before_any_work(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", f"output.root={tmp_path}/lake"]
    assert curate.main([*arguments, "--result", f"{tmp_path}/no/result.json"]) == 2
    expected = f"config: --result {tmp_path}/no/result.json: No such file or directory"
    assert last_line(capsys) == expected
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("main", [curate.main, write_example.main])
def test_a_missing_config_is_named(main, capsys: Capture) -> None:
    assert main(["--config", "nowhere.yaml"]) == 2
    expected = "cannot read the config nowhere.yaml: No such file or directory"
    assert last_line(capsys).endswith(expected)


def test_curate_wants_a_config() -> None:
    assert curate.main([]) == 2


def test_help_lists_every_command(capsys: Capture) -> None:
    assert evenlake(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


def test_a_commands_own_help_names_its_options(capsys: Capture) -> None:
    assert evenlake(["curate", "--help"]) == 0
    shown = capsys.readouterr().out
    options = ("--config", "--result", "--full-refresh", "--replace-sample")
    assert all(option in shown for option in options)


def test_an_unknown_command_exits_with_2() -> None:
    assert evenlake(["balance-everything"]) == 2
