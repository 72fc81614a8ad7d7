"""Reports: a finished run, or a sample file, as figures, tables, plots and a page. Reads outcomes; ranks nothing."""
