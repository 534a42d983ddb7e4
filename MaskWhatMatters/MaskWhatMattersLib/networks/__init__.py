"""Networks and building blocks that MONAI lacks."""
