"""Stage 5: five seeds' results in, PROMOTE or HOLD out, with the reasons."""
