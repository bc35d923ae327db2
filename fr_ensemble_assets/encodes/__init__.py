"""Stage 0: every clip encoded over a grid of encoders and qualities, every frame scored."""
