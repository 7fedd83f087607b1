"""Where things lie: files written whole or not at all, a journal, a cache, marks of provenance."""
