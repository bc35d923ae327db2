"""Stage 6: how far predictions of unseen sources were off, made into intervals one can act on."""
