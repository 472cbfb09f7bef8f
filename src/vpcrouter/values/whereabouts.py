"""Where the frames of the other routers come from, so that nobody else's are taken for them."""

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
    """What is known of the other routers' places, and where nobody else is listened to."""

    places: tuple[Place, ...] = ()
    """For each of them, one for each device by which it is there."""
    closed: tuple[str, ...] = ()
    """Devices on which VRRP and conntrackd are taken from their places alone."""
    attended: tuple[str, ...] = ()
    """Those of them on which one is heard now: there its agent needs no more than a word of a stranger now and then."""
    remembered: tuple[tuple[str, str], ...] = ()
    """Devices and addresses by which they were there, also where they are no more: whom to speak to by unicast."""
    is_alone: bool = False
    """There is no other router: VRRP and conntrackd are taken from nobody."""

    def shuts_out(self, now: Whereabouts) -> bool:
        """Whether a machine that is loaded with this would not hear what it should by now: then there is no time."""
        if self.is_alone and not now.is_alone:
            return True
        return any(_there(self.places, device) != _there(now.places, device) for device in self.closed)


def _there(places: tuple[Place, ...], device: str) -> set[Place]:
    return {each for each in places if each.device == device}


UNKNOWN = Whereabouts()
"""Nothing is known: everybody in the tier's network is listened to."""
