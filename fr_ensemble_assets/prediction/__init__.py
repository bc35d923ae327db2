"""Stage 9: a candidate at work, for whoever asks what a frame or an encode will score."""
