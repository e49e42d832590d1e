"""What memory and cores this machine has, right now (docs/devices.md)."""
