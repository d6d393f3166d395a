"""The gallery: nodes of the tree to look at, with points that a sample kept and left out."""
