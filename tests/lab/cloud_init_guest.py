"""A guest's first boot, as far as the router is concerned: cloud-init's own data source for CloudStack, run once.

Run by Debian's Python in a guest's namespace: `cloud_init_guest.py CLOUD_INIT DIRECTORY`, where cloud-init is unpacked
and where its files may go. Prints as JSON what it found.
"""

import json
import logging
import sys

CLOUD_INIT, DIRECTORY = sys.argv[1:]
sys.path.insert(0, f"{CLOUD_INIT}/usr/lib/python3/dist-packages")

from cloudinit import helpers  # type: ignore[import-not-found]  # noqa: E402
from cloudinit.sources.DataSourceCloudStack import (  # type: ignore[import-not-found]  # noqa: E402
    DataSourceCloudStack,
    get_data_server,
)

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
paths = helpers.Paths({"cloud_dir": f"{DIRECTORY}/cloud", "run_dir": f"{DIRECTORY}/run"})
wanted = {"datasource": {"CloudStack": {"max_wait": 5, "timeout": 3}}}
found = DataSourceCloudStack(wanted, None, paths)
is_found = found._get_data()  # `get_data` also writes what it has found below /run
print(
    json.dumps(
        {
            "found": is_found,
            "router": found.vr_addr,
            "router_by_name": get_data_server(),
            "user_data": None if found.userdata_raw is None else found.userdata_raw.decode("latin-1"),
            "metadata": found.metadata,
            "keys": found.get_public_ssh_keys() if is_found else None,
            "config": found.cfg,
            "instance_id": found.get_instance_id() if is_found else None,
        }
    )
)
