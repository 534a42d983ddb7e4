"""MASS: few-shot segmentation by example, learned from automatic, class-agnostic masks (arXiv 2603.13660)."""
