"""An attack that can be repeated: thousands of odd inputs, and runs killed at every write.

``python -m fr_ensemble_tests.attack`` makes the inputs from a number, hands each to the product in
a process of its own with limits, and judges what came of it: refused with one sentence, accepted
rightly (an oracle that shares no code with the product says so), or broken.
"""
