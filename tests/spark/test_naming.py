"""Paths with parent steps: where the file system finds them."""

from pathlib import Path

import pytest

from jobs.spark.naming import without_parents


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Return a folder with a link to a folder elsewhere."""
    (tmp_path / "far" / "target").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "target")
    return tmp_path


@pytest.mark.parametrize("store", ["", "file:", "file://"])
def test_above_a_link_is_the_folder_of_its_target(linked: Path, store: str) -> None:
    found = without_parents(f"{store}{linked}/near/link/../lake")
    assert found == f"{store}{linked}/far/lake"


def test_steps_that_leave_no_link_are_taken_away_as_text(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(linked / "near")
    for path in ("../lake", "new/../../lake", "./link/../../lake", f"{linked}/near//.././lake/"):
        assert without_parents(path) == f"{linked}/lake"
    through = f"{linked}/near/link/inside/../lake"  # the link itself stays, as it does without ..
    (linked / "far" / "target" / "inside").mkdir()
    assert without_parents(through) == f"{linked}/near/link/lake"
    assert without_parents("/../..") == "/"


@pytest.mark.parametrize("path", ["lake", "/a/..b", "s3://bucket/a/../b", "file:../a"])
def test_other_paths_stay_as_they_are(path: str) -> None:
    assert without_parents(path) == path
