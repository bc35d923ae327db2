"""What all Dagster doors share: the home as a resource, refusals, plots and tables."""
