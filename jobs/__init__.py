"""The jobs: every verb_noun module is one stage with ``run(spark, config)`` and ``main(argv)``."""
