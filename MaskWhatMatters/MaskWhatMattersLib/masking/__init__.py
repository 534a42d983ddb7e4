"""Which tokens the encoder does not see: random, in blocks, on a grid, or guided by relevance."""
