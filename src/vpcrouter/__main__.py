"""`python -m vpcrouter` is the command `vpcrouter`."""

from vpcrouter.cli import main

main()
