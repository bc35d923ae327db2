"""Beside stage 5: how much the verdict says. Shown with it, never part of the gate."""
