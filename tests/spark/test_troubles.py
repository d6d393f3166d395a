"""Modules that workers lack: who is said to need them."""

from collections.abc import Sequence

import pytest
from pyspark.errors import PythonException

from jobs.spark.troubles import trouble_of

EMBEDDER = (
    "pyspark/worker.py",
    "/x/evenlake.zip/udfs/embed.py",
    "/x/evenlake.zip/udfs/embedders/images.py",
)


def failed(frames: Sequence[str], said: str) -> PythonException:
    told = "".join(f'  File "{path}", line 7, in load\n    import it\n' for path in frames)
    return PythonException(
        "\n  An exception was thrown from the Python worker. Please see the stack trace below.\n"
        f"Traceback (most recent call last):\n{told}{said}\n\n\tat Task.run(1)"
    )


@pytest.mark.parametrize(
    ("frames", "name", "want"),
    [
        (EMBEDDER, "PIL", "PIL, which embed.model needs: install it there, or choose a model that"),
        (("pyspark/worker.py", "udfs/embed.py"), "pandas", "pandas: install it there"),
        (("udfs/content_views.py", "udfs/embedders/images.py"), "PIL", "PIL: install it there"),
        (("pyspark/worker.py", "udfs/shards/fragments.py"), "lance", "lance: install it there"),
        (("pyspark/serializers.py",), "udfs", "udfs, which is Evenlake's own: install evenlake"),
    ],
)
def test_a_module_that_workers_lack_is_named_and_the_embedder_only_if_it_asked(
    frames: Sequence[str], name: str, want: str
) -> None:
    for before in ("", "SerializationError: Caused by Traceback (most recent call last):\n"):
        error = failed(frames, f"{before}ModuleNotFoundError: No module named '{name}'")
        assert str(trouble_of(error)).startswith(f"the workers' Python has no module {want}")
    assert str(trouble_of(error)).endswith("needs none") == ("embed.model" in want)


def test_a_module_that_something_else_was_tried_for_is_not_blamed() -> None:
    frames = "".join(f'  File "{path}", line 7, in load\n' for path in EMBEDDER)
    again = "During handling of the above exception, another exception occurred:"
    said = f"ModuleNotFoundError: No module named 'fast'\n\n{again}\n\nTraceback:\n{frames}"
    assert trouble_of(failed(EMBEDDER, f"{said}ValueError: no")) is None
    mine = "udfs.embedders.contract.EmbedderError: my cannot be imported: ModuleNotFoundError: No"
    assert trouble_of(failed(EMBEDDER, f"{mine} module named 'nowhere'; fix it")) is None
