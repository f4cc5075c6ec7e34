"""`python -m unfeature`, the same as the command."""

import sys

from unfeature.cli import main

if __name__ == "__main__":
    sys.exit(main())
