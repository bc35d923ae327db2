"""What all Dagster doors share: resources, the current corpus, refusals, metadata."""
