"""The training engine on Lightning Fabric; every method keeps its own explicit loop."""
