"""Why a sample is not found that was drawn once: the pool's files are others now."""

from jobs.past.history import read_history
from jobs.runs.run import Run


def changed_since(this: Run) -> str | None:
    """Say that the pool has changed since the config last ran; None if it has not, or never did."""
    lineage = this.recipe.lineage(this.written)
    history = read_history(this.lake, this.recipe)
    of_config = [r for r in history.runs if r.state == "finished" and lineage in r.lineages]
    for run in of_config:  # the newest first
        before = run.last.inputs.get(this.pool.name)
        if before is not None and before != this.pool.fingerprint:
            return (
                f"{this.pool.name} has changed since run {run.run_id} ({before} then, "
                f"{this.pool.fingerprint} now); put it back as it was, or run evenlake curate, "
                "which draws the samples anew"
            )
    return None
