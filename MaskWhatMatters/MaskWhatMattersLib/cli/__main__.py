"""`python -m MaskWhatMattersLib.cli`, for when the command is not on the PATH."""

import sys

from MaskWhatMattersLib.cli.main import main

sys.exit(main())
