"""The localizer that comes with the extension: our own small text-conditioned segmenter."""
