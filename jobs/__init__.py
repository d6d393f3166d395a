"""The jobs: every verb_noun module is one job with ``run(spark, config)`` and ``main(argv)``."""
