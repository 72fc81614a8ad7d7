"""A bench for judges: how well an autorater agrees with people and with execution, and what sways it.

cases      what is judged, read from judgment files, RewardBench's forms and hub sets
asking     a case as prompts
raters     who answers: a model by logits, a model that reasons, a rule
agreement  accuracy, correlation and their intervals
bias       the six biases of CoBBLEr
report     answers to figures, a table, JSON and plots
measure    all of it over one run folder (`rerank judge`)
"""
