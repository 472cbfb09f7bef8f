"""Where the frames of the other router come from, so that nobody else's are taken for them."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True, order=True)
class Place:
    """What a frame of a router shows on one of its devices: the addresses of both layers that it comes from."""

    device: str
    address: str
    mac: str


@frozen(kw_only=True)
class Whereabouts:
    """What is known of the other router's places, and where nobody else is listened to."""

    places: tuple[Place, ...] = ()
    """One for each device by which it is there."""
    closed: tuple[str, ...] = ()
    """Devices on which VRRP and conntrackd are taken from its place alone."""
    attended: tuple[str, ...] = ()
    """Those of them on which it is heard now: its agent too is listened to in its place alone."""
    remembered: tuple[tuple[str, str], ...] = ()
    """Devices and addresses by which it was there, also where it is no more: whom to speak to by unicast."""
    is_alone: bool = False
    """There is no other router: VRRP and conntrackd are taken from nobody."""

    def shuts_out(self, now: Whereabouts) -> bool:
        """Whether a machine that is loaded with this would not hear what it should by now: then there is no time."""
        places = {each.device: each for each in now.places}
        return (self.is_alone and not now.is_alone) or any(
            each.device in self.closed and places.get(each.device) != each for each in self.places
        )


UNKNOWN = Whereabouts()
"""Nothing is known: everybody in the tier's network is listened to."""
