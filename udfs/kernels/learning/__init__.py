"""Losses of models in place of a user's: classifiers, clusters, views."""
