"""Stage 2: rows to network inputs, six standardised features and the 14-column codec block."""
