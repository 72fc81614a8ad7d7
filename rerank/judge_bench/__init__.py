"""A bench for judges: how well an autorater agrees with people and with execution, and what sways it.

cases       what is judged, read from judgment files and RewardBench's forms
hub         benchmarks by name, from the model hub or their authors' files
asking      a case as prompts
raters      who answers: a model by logits, a model that reasons, a rule
agreement   balanced accuracy, correlations, RewardBench 2's ties, and their intervals
bias        the six biases of CoBBLEr
figures     answers to figures: by set, by category, by RewardBench's rules
report      figures as a table, JSON and plots
measure     all of it over one run folder (`rerank judge`)
comparison  several judges side by side
"""
