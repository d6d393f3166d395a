"""Real pretrained models, carried by packages, through the product; make test-models."""
