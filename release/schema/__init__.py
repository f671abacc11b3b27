"""What `release.json` may hold: the frozen records, their JSON Schema, and the study a release accompanies."""
