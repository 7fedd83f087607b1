"""Whether two pictures are one, judged by their pixels: resized, cut, marked, mirrored or turned, but for a face."""
