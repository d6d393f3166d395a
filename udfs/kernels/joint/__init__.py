"""Joint example selection: pairs' contrastive losses, exactly, and the draw of a batch by them."""
