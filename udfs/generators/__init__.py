"""Generators: what makes an image of a caption; one module each, on the executors."""
