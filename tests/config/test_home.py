"""A ``~`` in a config is the home folder, as in a shell; no folder of that name is made."""

from pathlib import Path
from typing import Any

import pytest

from jobs.config.errors import ConfigError
from jobs.config.loading import load_config, parse_config

CONFIG: dict[str, Any] = {
    "input": {"table": "~/pool", "content": "text"},
    "output": {"root": "~/lake"},
    "embed": {"model": "lsa"},
    "samples": [{"name": "s", "target_size": 5}],
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_places_begin_at_home(home: Path) -> None:
    config = parse_config(CONFIG)
    assert (config.input.table, config.output.root) == (f"{home}/pool", f"{home}/lake")
    assert parse_config(CONFIG, ["input.table=s3://b/~x"]).input.table == "s3://b/~x"
    assert parse_config(CONFIG, ["input.table=./~/pool"]).input.table == "./~/pool"


def test_a_config_file_may_begin_at_home_too(home: Path) -> None:
    (home / "my.yaml").write_text(str(CONFIG))
    assert load_config("~/my.yaml").output.root == f"{home}/lake"


def test_an_unknown_home_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"output.root='~no-such-user/x': want a path; ~ is a home"
    ):
        parse_config(CONFIG, ["output.root=~no-such-user/x"])
