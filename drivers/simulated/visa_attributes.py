"""The VISA attributes of a session: what its address says, what may be set, and what is not there (visa-backend §1)."""

from __future__ import annotations

from typing import Any

from pyvisa import attributes, constants, rname
from pyvisa.constants import InterfaceType, LineState, ResourceAttribute, StatusCode

__all__ = ["VisaAttributes"]

_Attribute = ResourceAttribute
_HISLIP_VERSION = 0x0100_0000


class VisaAttributes:
    """Attributes of one session; those that reading and writing need are kept ready.

    Parameters
    ----------
    parsed : ResourceName
        The address.
    manager : int
        Session of the manager.

    Attributes
    ----------
    timeout_s : float or None
        None: for ever.
    termchar : bytes or None
        What ends a read, None where nothing but END does.
    sends_end, stops_at_end : bool
        Whether a write ends a message, and whether the end of a reply ends a read.
    is_stream : bool
        There are only bytes: no END, no serial poll, no trigger.
    """

    def __init__(self, parsed: rname.ResourceName, manager: int) -> None:
        self.kind = (InterfaceType[parsed.interface_type.lower()], parsed.resource_class)
        self.is_serial = self.kind[0] is InterfaceType.asrl
        self.is_stream = self.is_serial or parsed.resource_class == "SOCKET"
        self._values: dict[ResourceAttribute, Any] = {}
        self._fixed = _fixed(parsed, self.kind[0], manager)
        self._refresh()

    def value(self, name: ResourceAttribute) -> Any:
        """Return the value of an attribute; KeyError where this kind of resource has none."""
        if name in self._fixed:
            return self._fixed[name]
        if name in self._values:
            return self._values[name]
        if not self._has(name):
            raise KeyError(name)
        if name is _Attribute.suppress_end_enabled:
            return self.is_stream
        default = attributes.AttributesByID[name].default
        if default is attributes.NotAvailable:
            raise KeyError(name)
        return default

    def set(self, name: ResourceAttribute, value: Any) -> StatusCode:
        """Set an attribute; returns what VISA says about it."""
        if name in self._fixed:
            return StatusCode.error_attribute_read_only
        if not self._has(name):
            return StatusCode.error_nonsupported_attribute
        kind = attributes.AttributesByID[name]
        if not kind.write:
            return StatusCode.error_attribute_read_only
        if name is _Attribute.termchar and not 0 <= int(value) <= 255:
            return StatusCode.error_nonsupported_attribute_state
        self._values[name] = value
        self._refresh()
        return StatusCode.success

    def _has(self, name: ResourceAttribute) -> bool:
        kind = attributes.AttributesByID.get(name)
        return kind is not None and kind.in_resource(self.kind)

    def _refresh(self) -> None:
        milliseconds = int(self.value(_Attribute.timeout_value))
        self.timeout_s = None if milliseconds >= constants.VI_TMO_INFINITE else milliseconds / 1000
        on = bool(self.value(_Attribute.termchar_enabled))
        if self.is_serial:
            on |= self.value(_Attribute.asrl_end_in) == constants.SerialTermination.termination_char
        self.termchar = bytes((int(self.value(_Attribute.termchar)),)) if on else None
        self.sends_end = not self.is_stream and bool(self.value(_Attribute.send_end_enabled))
        self.stops_at_end = not self.is_stream or not self.value(_Attribute.suppress_end_enabled)


def _fixed(
    parsed: rname.ResourceName, interface: InterfaceType, manager: int
) -> dict[ResourceAttribute, Any]:
    """Return what an address says, and what is the same for all."""
    board = str(getattr(parsed, "board", "0"))
    found: dict[ResourceAttribute, Any] = {
        _Attribute.resource_name: str(parsed),
        _Attribute.resource_class: parsed.resource_class,
        _Attribute.interface_type: interface,
        _Attribute.interface_number: int(board) if board.isdigit() else 0,
        _Attribute.interface_instrument_name: f"{parsed.interface_type}{board} (simulated)",
        _Attribute.resource_manager_session: manager,
        _Attribute.resource_manufacturer_name: "labkit simulated bench",
        _Attribute.resource_manufacturer_id: 0,
        _Attribute.resource_impl_version: 0x0001_0000,
        _Attribute.resource_spec_version: 0x0070_0000,
    }
    if interface is InterfaceType.tcpip:
        host, device = getattr(parsed, "host_address", ""), getattr(parsed, "lan_device_name", None)
        found |= {_Attribute.tcpip_address: host, _Attribute.tcpip_hostname: host}
        if device is None:
            found[_Attribute.tcpip_port] = int(getattr(parsed, "port", 0))
        else:
            hislip = device.lower().startswith("hislip")
            found |= {_Attribute.tcpip_device_name: device, _Attribute.tcpip_is_hislip: hislip}
            if hislip:
                found[_Attribute.tcpip_hislip_version] = _HISLIP_VERSION
                found[_Attribute.tcpip_hislip_overlap_enable] = False
    elif interface is InterfaceType.gpib:
        second = getattr(parsed, "secondary_address", None)
        found |= {
            _Attribute.gpib_primary_address: int(getattr(parsed, "primary_address", 0)),
            _Attribute.gpib_secondary_address: int(second) if second else constants.VI_NO_SEC_ADDR,
            _Attribute.gpib_ren_state: LineState.asserted,
        }
    elif interface is InterfaceType.usb:
        found |= {
            _Attribute.manufacturer_id: int(getattr(parsed, "manufacturer_id", "0"), 0),
            _Attribute.model_code: int(getattr(parsed, "model_code", "0"), 0),
            _Attribute.usb_serial_number: getattr(parsed, "serial_number", ""),
            _Attribute.usb_interface_number: int(getattr(parsed, "usb_interface_number", "0") or 0),
            _Attribute.is_4882_compliant: True,
        }
    return found
