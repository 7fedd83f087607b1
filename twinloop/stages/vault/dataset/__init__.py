"""From a person to a training set: chosen, cut, captioned, and laid down for a trainer."""
