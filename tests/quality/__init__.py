"""How good the curated samples are, over seeds."""
