"""`python -m experiments` is `soberclip`, for torchrun and for machines without the script on the
path.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # an installed copy has no such folder
    sys.path.insert(0, str(Path(__file__).parent / "command" / "entry"))
    from soberclip import main  # it refuses if another package hides one of ours

    raise SystemExit(main())
