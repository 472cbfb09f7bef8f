"""Makes changes with short deadlines and lets them pass, to be killed by tests: `python -m tests.changers DIR`.

Prints a line after every acknowledgement: `change NAME`, `taken back`.
"""

from __future__ import annotations

import sys
import time

from tests.strategies import tier
from vpcrouter import Router
from vpcrouter.commands import PutTier
from vpcrouter.values.confirmation import Terms

WITHIN_MS = 150


def main() -> None:
    """Until somebody kills this process."""
    with Router.open(sys.argv[1]) as router:
        router.expire()
        while True:
            receipts = router.submit_change([PutTier(tier=tier(7)), PutTier(tier=tier(8))], Terms(within_ms=WITHIN_MS))
            print("change", receipts[0], flush=True)
            while not router.expire():
                time.sleep(0.002)
            print("taken back", flush=True)


if __name__ == "__main__":
    main()
