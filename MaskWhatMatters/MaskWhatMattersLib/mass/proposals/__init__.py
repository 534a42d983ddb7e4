"""Class-agnostic masks of a scan, which pretraining by in-context segmentation learns from (MASS, arXiv 2603.13660)."""
