"""Images of captions: generators, rendering in commits, batches, and where images land."""
