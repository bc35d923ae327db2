"""Per-codec predictors: what an encode at a quality will score, before it is made."""
