"""Exit codes of the command `whatmatters`."""

DONE, SOME_FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130  # what a shell expects after Ctrl+C
