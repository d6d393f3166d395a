"""The recipe: the stages of a whole run, in the order in which `curate` runs them."""

from jobs import (
    balance_sample,
    check_synthesis,
    cluster_levels,
    divide_contrast,
    embed_pool,
    find_duplicates,
    gate_outliers,
    mine_negatives,
    plan_synthesis,
    render_images,
    report_curation,
    score_learnability,
    select_batches,
    tune_tree,
    write_captions,
)
from jobs.runs.stage import Recipe

RECIPE = Recipe(
    (
        embed_pool.STAGE,
        find_duplicates.STAGE,
        gate_outliers.STAGE,
        tune_tree.STAGE,
        cluster_levels.STAGE,
        balance_sample.STAGE,
        report_curation.STAGE,
        score_learnability.STAGE,
        select_batches.STAGE,
        divide_contrast.STAGE,
        mine_negatives.STAGE,
        plan_synthesis.STAGE,
        write_captions.STAGE,
        render_images.STAGE,
        check_synthesis.STAGE,
    )
)
