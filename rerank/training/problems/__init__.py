"""Training problems: from problem files, benchmarks' training parts and doctested code, cleaned of the benchmarks."""
