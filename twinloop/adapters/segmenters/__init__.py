"""Networks that tell the subject of a picture from what is behind it, and masks made of what they say."""
