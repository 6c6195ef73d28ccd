"""What we manage: the driver port and its drivers."""
