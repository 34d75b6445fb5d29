"""Understanding pictures: devices shared out, things followed from picture to picture, what rules find of them."""
