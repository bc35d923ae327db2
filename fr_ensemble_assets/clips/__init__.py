"""Stage 0: reference clips, what is in them, and the ffmpeg that reads them."""
