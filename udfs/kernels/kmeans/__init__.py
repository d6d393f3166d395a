"""K-means: start, iterations, mini-batches, resampling."""
