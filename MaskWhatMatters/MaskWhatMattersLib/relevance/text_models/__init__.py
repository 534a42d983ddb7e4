"""Models of the `transformers` library that find what a text names in a picture; one file per idea."""
