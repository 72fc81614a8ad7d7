"""The published recipes: FLAMe, tail-patches (FLAMe-Opt-RM) and Self-Taught Evaluators, each resumable."""
