"""The steps that k-means is made of; what a step is says ``udfs.kernels.passes.step``."""
