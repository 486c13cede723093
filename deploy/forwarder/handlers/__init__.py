"""The handler of the forwarder and what it is made of."""
