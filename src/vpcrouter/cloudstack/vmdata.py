"""`vmdata` (vm_metadata.json): the user data and metadata of one guest, complete.

A list of triples `[folder, file, content]`. A null content is an empty file, an empty one is no file. User data come
as base64, with or without padding.
"""

from __future__ import annotations

import base64
import binascii

from vpcrouter.cloudstack.reader import Reader
from vpcrouter.commands import PutGuestPages
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import child, kind
from vpcrouter.values import fields
from vpcrouter.values.config import Secret
from vpcrouter.values.guests import GuestPages, metadata_name, metadata_text

_WIRE = {"address": "vm_ip_address", "user_data": "vm_metadata", "metadata": "vm_metadata"}


def decode(top: Reader) -> PutGuestPages:
    """The command of the whole object."""
    address = top.needed("vm_ip_address", fields.ipv4)
    user_data: Secret | None = None
    metadata: dict[str, str] = {}
    for index, item in enumerate(top.items("vm_metadata")):
        path = child(top.at("vm_metadata"), index)
        folder, file, content = _triple(item, path)
        if folder == "metadata":
            name = metadata_name(file, child(path, 1))
            metadata.pop(name, None)
            if content != "":
                metadata[name] = metadata_text(content or "", child(path, 2))
        elif folder == "userdata":
            if file != "user-data":
                raise MalformedInputError("is not user-data, the only file of userdata", where=child(path, 1))
            user_data = None if content == "" else Secret(text=_padded(content or "", child(path, 2)))
        else:
            raise MalformedInputError("is neither metadata nor userdata", where=child(path, 0))
    pages = top.build(GuestPages, _WIRE, address=address, user_data=user_data, metadata=tuple(sorted(metadata.items())))
    return PutGuestPages(pages=pages)


def _triple(item: object, path: str) -> tuple[str, str, str | None]:
    if not isinstance(item, list):
        raise MalformedInputError(f"{kind(item)} stands where a list belongs", where=path)
    if len(item) != 3:
        raise MalformedInputError(f"holds {len(item)} values where folder, file and content belong", where=path)
    folder, file, content = item
    if content is not None and not isinstance(content, str):
        raise MalformedInputError(f"{kind(content)} stands where a string belongs", where=child(path, 2))
    return fields.text(folder, child(path, 0)), fields.text(file, child(path, 1)), content


def _padded(content: str, path: str) -> str:
    """Base64 in its canonical form. The error must not show it."""
    bare = content.rstrip("=")
    try:
        decoded = base64.b64decode((bare + "=" * (-len(bare) % 4)).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedInputError("is not base64", where=path) from None
    return base64.b64encode(decoded).decode()
