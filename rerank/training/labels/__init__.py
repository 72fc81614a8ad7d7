"""Labels: samples and mutations of programs for training problems, and what running their tests said of each."""
