"""Learning from images without labels: SparK, MAE, SimMIM and SimCLR, each a loss over an encoder and a token mask."""
