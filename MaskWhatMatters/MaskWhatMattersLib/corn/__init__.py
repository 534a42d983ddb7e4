"""Left atrium from few labels: correlation consistency and a dynamic feature pool (CORN, arXiv:2410.15916)."""
