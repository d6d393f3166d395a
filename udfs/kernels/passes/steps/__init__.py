"""The steps that make up k-means; ``udfs.kernels.passes.step`` says what a step is."""
