"""Pictures out of videos: looking, choosing, writing. Knows no vault: what it writes are photos of the user's."""
