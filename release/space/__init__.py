"""The Space of a release: made from its record, marked as this tool's, and run here."""
