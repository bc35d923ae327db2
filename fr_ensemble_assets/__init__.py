"""fr-ensemble: from a canonical-6 corpus to a gated VMAF ensemble candidate, as Dagster assets.

The rooms, in the order in which data flows:

``corpus`` → ``features`` → ``training`` → ``loso`` → ``gate`` → ``members`` → ``candidate``

Each room has thin Dagster doors (``assets.py``, ``checks.py``) over pure modules that know nothing
of Dagster. ``definitions.py`` is the one place where everything meets.
"""

__version__ = "0.1.0"
