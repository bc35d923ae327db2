"""The groups of the asset graph: few, numbered as data flows, so that it reads left to right.

The UI lists groups by name and draws each as a box; a box a room would be nine, with their edges
crossing.
"""

from typing import Final

#: From clips to the corpus.
CORPUS_GROUP: Final = "1_clips_to_corpus"
#: Seeds trained leave-one-source-out, and the verdict over them.
VERDICT_GROUP: Final = "2_train_and_judge"
#: One predictor a codec; the candidate takes those that pass.
PREDICTORS_GROUP: Final = "3_predictors"
#: Intervals, members and the candidate: what only a PROMOTE may build, and what it rests on.
CANDIDATE_GROUP: Final = "4_candidate"
