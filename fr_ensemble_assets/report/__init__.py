"""The report: what stands, on one page, for whoever has no Dagster open."""
