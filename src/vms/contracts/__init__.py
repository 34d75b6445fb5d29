"""What the parts of the system ask of each other: Protocols and the values that cross them."""
