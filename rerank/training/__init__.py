"""Where the scorer's training data comes from: problems, labelled programs, judgments, and their mixture."""
