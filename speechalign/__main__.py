"""`python -m speechalign` is `speechalign`."""

import sys

from speechalign.cli import main

if __name__ == "__main__":
    sys.exit(main())
