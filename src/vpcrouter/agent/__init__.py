"""The agent: takes commands over a Unix socket, settles the machine, follows keepalived. All concurrency is here.

`loop` owns the Router and is where the parts meet:

    intake         requests → journal                    planning      state, role, carriage → what is desired
    pacing         when to settle                        settlements   what came of it, and who waits for it
    deaths         daemons that end                      contest       both serve
    handing_over   the service, on purpose               guests        their passwords
    sites          tunnels                               examination   what the checkup asks
"""

from vpcrouter.agent.loop import SNAPSHOT_EVENTS, Agent, run_agent

__all__ = ["SNAPSHOT_EVENTS", "Agent", "run_agent"]
