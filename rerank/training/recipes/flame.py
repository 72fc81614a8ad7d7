"""FLAMe and FLAMe-RM (arXiv 2407.10817, sections 4.1 and 4.2) as stages that a killed run goes on with.

    flame/    trained on the multitask mixture: examples-proportional, at most 65,536 of a task
    rm/       FLAMe after 50 more steps on four sets of pairs in equal parts

`scripts/flame.py` is the command; `tail_patch` holds the third recipe, FLAMe-Opt-RM.
"""

# FLAMe-RM's four sets by their names here, and sets of the same kinds from the judgment files where there is no hub:
# help, mathematics, repaired programs, harmlessness.
RM_TASKS = ("helpsteer_pair", "prm800k_pair", "commitpackft_pair", "hh_rlhf_harmless_pair")
RM_STAND_INS = ("hh_helpful_base", "gsm8k_solution_pair", "bugsinpy_fix", "hh_harmless_base")
