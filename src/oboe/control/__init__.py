"""The use cases. Every face calls these and nothing below."""
