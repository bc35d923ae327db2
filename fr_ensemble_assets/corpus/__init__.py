"""Stage 1: canonical-6 rows, read, validated, and bound to the sha256 of their content."""
