"""The Space of a release: made from its record, and marked as this tool's."""
