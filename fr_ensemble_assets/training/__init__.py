"""Stage 3: the random streams, three trainers that follow the same trajectory, executors.

``streams`` says which random numbers a recipe sees, ``reference``, ``kernel`` and ``stacked`` how
the arithmetic is done, ``executors`` where. Nothing here knows of sources or folds.
"""
