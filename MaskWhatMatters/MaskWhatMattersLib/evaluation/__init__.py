"""How good a segmentation is: metrics with units, tables over cases and seeds."""
