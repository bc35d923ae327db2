"""Stage 4: leave one source out, train on the rest, predict the source that was never seen."""
