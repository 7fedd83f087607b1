"""What a vault keeps: its paths, the catalogue of what was measured, and what the user decided."""
