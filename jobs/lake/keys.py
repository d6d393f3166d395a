"""Stage keys: a stage's output is named by everything that shapes it, and by nothing else."""

import hashlib
import json
from typing import Any

from jobs.lake.config import RunConfig, as_dict
from jobs.lake.secrets import blanked, without_authority

# Raise a stage's version when the same config and input would now give other rows.
ALGORITHM_VERSIONS = {
    "embed_pool": 2,
    "tune_tree": 1,
    "cluster_levels": 6,
    "balance_sample": 1,
    "report_curation": 2,
}
STAGES = tuple(ALGORITHM_VERSIONS)
_HOW_NOT_WHAT = ("solver", "checkpoint_interval")  # the answer does not depend on them


def stage_keys(config: RunConfig, fingerprint: str) -> dict[str, str]:
    """Give every stage's key, each built on the one upstream.

    What tuning chose reaches the tree's key as settled levels, so that another choice of the same
    levels finds the same tree.

    Parameters
    ----------
    config : as written for the keys of ``embed_pool`` and ``tune_tree``, settled for the others
    fingerprint : of the input, see ``jobs.lake.inputs.Pool``
    """
    plain = _identity(config)
    embed = _key("embed_pool", _read_by_embed(plain), [fingerprint])
    tune = _key("tune_tree", _read_by_tune(plain), [embed])
    cluster = _key("cluster_levels", _read_by_cluster(plain), [embed])
    sample = _key("balance_sample", _read_by_balance(plain), [cluster])
    report = _key("report_curation", {k: plain[k] for k in ("seed", "report")}, [sample])
    return dict(zip(STAGES, (embed, tune, cluster, sample, report), strict=True))


def lineage(config: RunConfig) -> str:
    """Name the config that a published sample belongs to, whatever the input's version."""
    plain = _identity(config)
    return _key("lineage", _read_by_embed(plain) | _read_by_cluster(plain), [])


def run_id(keys: dict[str, str]) -> str:
    """Name a run by its stages' keys."""
    return _hash(sorted(keys.items()))


def _identity(config: RunConfig) -> dict[str, Any]:
    """Give the config as plain data, but for what may change while the input stays the same.

    Credentials on the way to it rotate, and the fingerprint knows its version.
    """
    plain = as_dict(config)
    way = {k: plain["input"][k] for k in ("table", "options")}
    same = blanked(way, without_authority) | {"version": None}
    return plain | {"input": plain["input"] | same}


def _read_by_embed(plain: dict[str, Any]) -> dict[str, Any]:
    return {k: plain[k] for k in ("seed", "input", "embed", "hygiene")}


def _read_by_cluster(plain: dict[str, Any]) -> dict[str, Any]:
    cluster = {k: v for k, v in plain["cluster"].items() if k not in _HOW_NOT_WHAT}
    return {"seed": plain["seed"], "cluster": cluster}


def _read_by_tune(plain: dict[str, Any]) -> dict[str, Any]:
    wanted = ("target_size", "share")
    samples = [{k: sample[k] for k in wanted} for sample in plain["samples"]]
    return _read_by_cluster(plain) | {"samples": samples}


def _read_by_balance(plain: dict[str, Any]) -> dict[str, Any]:
    samples = [
        {k: v for k, v in sample.items() if k != "on_worse_than_uniform"}
        for sample in plain["samples"]
    ]
    return {"seed": plain["seed"], "samples": samples}


def _key(stage: str, config: dict[str, Any], upstream: list[str]) -> str:
    version = ALGORITHM_VERSIONS.get(stage, 1)
    return _hash({"stage": stage, "version": version, "config": config, "upstream": upstream})


def _hash(material: Any) -> str:
    """Hash canonical JSON: sorted keys, floats as decimal text without exponent."""
    text = json.dumps(_canonical(material), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.12f}"
    if isinstance(value, dict):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    return value
