"""The recipe, the random streams, and two trainers that follow the same trajectory.

``recipe`` says what is trained, ``streams`` which random numbers it sees, ``reference`` and
``stacked`` how the arithmetic is done. Nothing here knows of sources, folds or Dagster.
"""
